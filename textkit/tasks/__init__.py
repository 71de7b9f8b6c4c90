"""The tasks that come with textkit, one folder each. They are reached by name only."""
