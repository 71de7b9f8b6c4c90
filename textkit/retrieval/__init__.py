"""Search: passages of files, the index that keeps them, and what is found in it by meaning and by words. Imports no torch."""
