"""Turns a trained model into the graphs of the task `language`, and proves that they compute what it computes."""
