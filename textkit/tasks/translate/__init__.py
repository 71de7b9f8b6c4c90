"""The task `translate`: lines to lines of another language."""
