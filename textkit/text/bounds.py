"""Bounds that models of strangers are held to, in their manifest and in their text rules alike. Imports nothing."""

MOST_ROWS = 1 << 24  # of an embedding table, and tokens of a line
