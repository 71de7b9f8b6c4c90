"""The families `rnn-lm` and `nnlm`: language models that are recurrent, or see the last few words. Plugins in modelling.py."""
