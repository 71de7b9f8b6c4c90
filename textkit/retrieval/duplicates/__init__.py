"""Near-duplicates among the records of files: what is kept, what is dropped and for which record. Imports no torch."""
