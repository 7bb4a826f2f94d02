"""What a user brings: a factory, a PyTorch file, a model of a zoo, an ONNX file; with inputs to run it on."""
