"""Exported models of the task `language` as callables, and the writers of their results. Imports no torch."""
