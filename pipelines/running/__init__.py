"""How a stage runs: its parameters, its tasks side by side, its progress."""
