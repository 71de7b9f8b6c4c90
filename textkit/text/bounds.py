"""Bounds for strangers' models, which hold for both the manifest and the text rules. Imports nothing."""

MOST_ROWS = 1 << 24  # rows of an embedding table, and tokens of a line
