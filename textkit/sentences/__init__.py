"""Cuts lines into sentences, by the rules of each language. Knows no model."""
