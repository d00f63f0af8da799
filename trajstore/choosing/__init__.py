"""Which episodes of a version are meant: by number, by a condition, by a curator's marks."""
