"""Exported models of the task `classify` as callables, and the writers of their results. Imports no torch."""
