"""Quantization of float TFLite models: calibration data, schemes, post-training quantization."""
