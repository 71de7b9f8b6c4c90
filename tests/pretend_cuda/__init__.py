"""Stand-ins for CUDA's libraries, for tests: onnxruntime's CUDA provider loads, places nodes and copies; nothing computes."""
