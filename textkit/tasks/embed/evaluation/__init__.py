"""Measures models of the task `embed` on data with answers."""
