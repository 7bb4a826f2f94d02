"""A model that was quantized by its user: float operators between DEQUANTIZE and QUANTIZE → integer kernels."""

from .rewrite import to_integers as to_integers
