"""Turns a trained model into the graph of the task `classify`, and proves that it computes what the model computes."""
