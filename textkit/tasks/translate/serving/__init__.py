"""Exported models of the task `translate` as callables, and the writers of their results. Imports no torch."""
