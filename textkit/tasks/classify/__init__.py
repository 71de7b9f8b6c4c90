"""The task `classify`: lines to labels."""
