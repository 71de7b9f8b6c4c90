"""Exported models of the task `translate` as callables, and what writes their results. Imports no torch."""
