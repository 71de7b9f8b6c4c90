"""Recurrent encoder and decoder with attention: translating.py says what it is to the engine, network.py holds the network."""
