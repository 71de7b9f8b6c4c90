"""Which ONNX is written: the versions of operators and of the file, and the largest file."""

OPSET = 23  # onnxruntime 1.23 and newer read it; onnx's own default is newer than they read
IR_VERSION = 10
LARGEST = 2**31 - 2**20  # bytes of one protobuf message, less the room for its nodes
