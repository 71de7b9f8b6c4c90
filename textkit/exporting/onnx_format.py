"""Which ONNX is written: the versions of operators and of the file, and the largest file."""

OPSET = 23  # what onnxruntime 1.23 and newer read; onnx's own defaults are newer than any of them
IR_VERSION = 10
LARGEST = 2**31 - 2**20  # bytes of one protobuf message, less room for the nodes
