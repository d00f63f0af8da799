"""See what was recorded: one self-contained page, pictures, films, or the terminal."""
