"""The transformer: `transformer`, encoder and decoder, and `transformer-lm`, a decoder alone.

translating.py and language.py hold the plugins, network.py and decoder.py the networks.
"""
