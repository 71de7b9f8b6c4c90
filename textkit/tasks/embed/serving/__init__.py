"""Exported models of the task `embed` as callables, and the writers of their results. Imports no torch."""
