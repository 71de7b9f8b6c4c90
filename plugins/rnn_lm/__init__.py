"""The families `rnn-lm` (recurrent language models) and `nnlm` (models of the last few words). Plugins in modelling.py."""
