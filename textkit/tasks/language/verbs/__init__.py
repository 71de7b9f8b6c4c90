"""The verbs of the task `language`, one file each."""
