"""PyTorch → ONNX, checked against the module."""
