"""Defaults that a training, a search and the command line share."""

DEVICES = r"auto|cpu|cuda(:[0-9]{1,3})?"  # where to compute, as users name it
SEED = 1  # of all randomness, in training and in sampling, unless another is given
