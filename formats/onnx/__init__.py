"""ONNX files and graphs. Importing this package keeps SymPy out of what comes after it."""

from .lazy_sympy import defer

defer()
