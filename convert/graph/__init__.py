"""ONNX graphs in memory: read, and changed in one way."""
