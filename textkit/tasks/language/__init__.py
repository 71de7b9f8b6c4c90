"""The task `language`: how likely lines are, and what may follow a prompt."""
