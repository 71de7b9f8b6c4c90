"""The verbs of the task `classify`, one file each."""
