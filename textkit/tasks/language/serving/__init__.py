"""Exported models of the task `language` as callables, and what writes their results. Imports no torch."""
