"""Defaults that a training, a search and the command line share."""

SEED = 1  # of all randomness, of a training as of what is drawn, where nobody says another
