"""Exported models of the task `embed` as callables, and what writes their results. Imports no torch."""
