"""Defaults that a training, a search and the command line share."""

DEVICES = r"auto|cpu|cuda(:[0-9]{1,3})?"  # where to compute, as users name it
SEED = 1  # of all randomness, of a training as of what is drawn, where nobody says another
