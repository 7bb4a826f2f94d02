"""Kinds of operators that decisions are made by."""

from __future__ import annotations

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")

MIN_ELEMENTS = 1024
"""A constant with fewer elements is no weight worth compressing (TFLite's own converter has the same limit)."""

LAYERS = (*CONVOLUTIONS, "FULLY_CONNECTED")
"""Operators with weights."""

STORING = (*LAYERS, "GATHER")
"""Operators whose constants may be large: weights, and tables that rows are looked up in."""

MATRICES = ("BATCH_MATMUL", "FULLY_CONNECTED")

ARITHMETIC = (*CONVOLUTIONS, *MATRICES)
"""Sums of products, where nearly all of a model's arithmetic is."""

EXACT = ("BATCH_TO_SPACE_ND", "DEPTH_TO_SPACE", "EXPAND_DIMS", "GATHER", "MAX_POOL_2D", "PAD", "RELU", "RESHAPE",
         "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SLICE", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V",
         "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE")  # fmt: skip
"""Operators that add no error of their own in integers, so that leaving them there costs nothing and saves casts."""
