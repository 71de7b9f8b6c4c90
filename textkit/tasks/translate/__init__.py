"""The task `translate`: lines to lines in another language."""
