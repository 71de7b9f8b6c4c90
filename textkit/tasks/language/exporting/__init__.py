"""A trained model becomes the graphs of the task `language`, and the proof that they compute what it computes."""
