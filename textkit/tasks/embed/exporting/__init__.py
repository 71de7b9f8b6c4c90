"""A trained model becomes the graphs of the task `embed`, and the proof that they compute what it computes."""
