"""The verbs of the task `embed`, one file each."""
