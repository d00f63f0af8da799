"""A comparison for readers: a page, a summary, metrics and plots, all from its numbers alone."""
