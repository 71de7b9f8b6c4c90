"""A trained network becomes ONNX graphs, proven to compute what it computes. Knows no family."""
