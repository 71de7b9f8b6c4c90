"""Word embeddings: counting.py holds the count-based families, predicting.py those that learn by predicting words."""
