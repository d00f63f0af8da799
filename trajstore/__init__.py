"""A versioned store of expert trajectories."""
