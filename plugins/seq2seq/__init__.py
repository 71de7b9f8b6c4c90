"""Recurrent encoder and decoder with attention: translating.py holds the plugin, network.py the network."""
