"""The tasks that come with textkit, a folder each. Reached by name only."""
