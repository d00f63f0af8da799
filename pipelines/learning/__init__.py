"""Policies, their training, their judging, and what a run leaves behind."""
