"""One episode: its fields, its schema, its arrays, where it came from."""
