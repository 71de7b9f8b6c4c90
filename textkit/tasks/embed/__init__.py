"""The task `embed`: lines to vectors."""
