"""Kinds of operators that decisions are made by."""

from __future__ import annotations

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")

LAYERS = (*CONVOLUTIONS, "FULLY_CONNECTED")
"""Operators with weights."""

MATRICES = ("BATCH_MATMUL", "FULLY_CONNECTED")

ARITHMETIC = (*CONVOLUTIONS, *MATRICES)
"""Sums of products, where nearly all of a model's arithmetic is."""

EXACT = ("BATCH_TO_SPACE_ND", "DEPTH_TO_SPACE", "EXPAND_DIMS", "GATHER", "MAX_POOL_2D", "PAD", "RELU", "RESHAPE",
         "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SLICE", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V",
         "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE")  # fmt: skip
"""Operators that add no error of their own in integers, so that leaving them there costs nothing and saves casts."""
