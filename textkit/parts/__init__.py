"""A large input as parts: planned once, each written whole with a mark that says so, joined in order. Knows no model."""
