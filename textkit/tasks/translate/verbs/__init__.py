"""The verbs of the task `translate`, one file each."""
