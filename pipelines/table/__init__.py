"""The table of public tasks: what is compared on each, the runs, and what they show."""
