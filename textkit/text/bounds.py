"""Bounds for strangers' models, which hold for both the manifest and the text rules. Imports nothing."""

LONGEST_NGRAM = 64  # characters
LONGEST_PHRASE = 1000  # words of an n-gram of words, as fastText counts them
WIDEST = 1 << 20  # numbers of a vector
MOST_ROWS = 1 << 24  # rows of an embedding table, and tokens of a line
