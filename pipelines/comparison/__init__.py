"""Groups of finished runs against each other: pure functions from logs to numbers."""
