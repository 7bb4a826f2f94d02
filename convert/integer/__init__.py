"""A model that was quantized by its user: float operators between DEQUANTIZE and QUANTIZE → integer kernels."""

from .hybrid import to_hybrid as to_hybrid
from .rewrite import to_integers as to_integers
from .rounding import has_kernels as has_kernels
from .rounding import rounded_in_float as rounded_in_float
from .rounding import together as together
