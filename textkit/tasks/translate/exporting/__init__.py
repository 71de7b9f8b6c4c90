"""A trained model becomes the graphs of the task `translate`, and the proof that they compute what it computes."""
