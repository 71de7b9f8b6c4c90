"""Turns a trained network into ONNX graphs that are proven to compute what it computes. Knows no family."""
