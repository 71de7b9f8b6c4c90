"""The transformer: `transformer`, encoder and decoder, and `transformer-lm`, a decoder alone.

translating.py and language.py say what they are to the engine, network.py and decoder.py hold the networks.
"""
