"""Turns a trained model into the graphs of the task `embed`, and proves that they compute what it computes."""
