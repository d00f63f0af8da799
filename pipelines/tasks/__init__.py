"""What is learned: environments, their scenarios and their metrics."""
