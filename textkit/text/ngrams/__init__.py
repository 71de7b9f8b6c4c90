"""Hashes of words and of n-grams, and words that are remembered by number. numpy only; knows no rule, no rows and no model."""
