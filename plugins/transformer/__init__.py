"""The transformer, encoder and decoder: translating.py says what it is to the engine, network.py holds the network."""
