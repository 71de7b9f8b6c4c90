"""Defaults that a training, a search and the command line share."""

DEVICES = r"auto|cpu|cuda(:[0-9]{1,3})?"  # where to compute, as users name it
PRECISIONS = ("fp16", "fp32", "tf32", "int8")  # what a GPU may compute an exported model in
PRECISE_DEVICES = rf"{DEVICES}(/({'|'.join(PRECISIONS)}))?"  # a precision stands behind cuda alone
SEED = 1  # of all randomness, in training and in sampling, unless another is given
