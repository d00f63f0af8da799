"""The stages of the experiment, each a command."""
