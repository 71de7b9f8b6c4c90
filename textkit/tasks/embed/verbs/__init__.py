"""The verbs of the task `embed`, a file each."""
