"""Turns a trained model into the graphs of the task `translate`, and proves that they compute what it computes."""
