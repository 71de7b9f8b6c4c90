"""The verbs of the task `translate`, a file each."""
