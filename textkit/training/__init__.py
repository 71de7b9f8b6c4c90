"""Training, checkpoints and export: the torch side of the house. Nothing here is imported when serving."""
