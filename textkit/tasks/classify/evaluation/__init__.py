"""Measures models of the task `classify` on labelled lines."""
