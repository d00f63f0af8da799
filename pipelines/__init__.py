"""The experiment: expert, recording, cloning, comparison."""
