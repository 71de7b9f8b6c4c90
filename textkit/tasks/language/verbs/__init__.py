"""The verbs of the task `language`, a file each."""
