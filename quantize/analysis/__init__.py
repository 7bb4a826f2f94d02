"""What quantization did to a model: errors layer by layer, sensitivities, and a lint of the file (``..analysis``)."""
