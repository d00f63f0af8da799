"""The parts of the playback page: its frame, its looks, its script. No Python code lives here."""
