"""How a stage runs: its parameters, its jobs side by side, its progress."""
