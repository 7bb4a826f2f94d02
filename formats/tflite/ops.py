"""What is known of every TFLite operator that edgeworthy emits, or quantizes: one row each, read by all rooms.

================ =============================================================================================
column           read by
================ =============================================================================================
``dtypes``       the builders: data of another dtype is computed in a wider one (``convert.builders.kernels``)
``tensorflow``   the SavedModel's builder (``convert.builders.tensorflow_ops``)
``int8``         the quantizer (``quantize.engine``), which is taught what its own policy leaves out
================ =============================================================================================

Sources: TFLite's ``schema.fbs`` for the names; the type switches of the reference kernels of LiteRT 2.3
(``tflite/kernels/*.cc``) for the dtypes, of plain, not quantized, tensors.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

HANDLER = "handler"
"""In the column ``tensorflow``: a function of ``convert.builders.tensorflow_ops`` makes the operator."""


class Int8(enum.Enum):
    """How the quantizer comes to the scales of an int8 operator."""

    LISTED = "the quantizer's own policy has a rule"
    OWN_SCALE = "the result has a scale of its own"
    INPUT_SCALE = "the result has the input's scale"
    OUTPUT_SCALE = "the operands have the result's scale"
    FLOAT = "it stays float"


@dataclass(frozen=True)
class FixedScale:
    """An int8 rule: the kernel has the result's scale and zero point built in."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class TfliteOp:
    """One operator.

    Attributes:
        name: As in MLIR's TFL dialect, such as ``conv_2d``.
        dtypes: Dtypes of the data that its kernel takes; None where no builder emits it (MLIR's optimizer or another
            converter does).
        tensorflow: The path below ``tensorflow`` of the function that takes its operands as they are, such as
            ``nn.relu``; :data:`HANDLER`; None where no builder emits it.
        int8: The rule of its int8 form.
    """

    name: str
    dtypes: frozenset[str] | None
    tensorflow: str | None
    int8: Int8 | FixedScale

    @property
    def builtin(self) -> str:
        """Its name among the schema's ``BuiltinOperator``, such as ``CONV_2D``."""
        return self.name.upper()

    @property
    def is_emitted(self) -> bool:
        """Whether builders may emit it."""
        return self.dtypes is not None


_F = frozenset({"float32"})
_FI = _F | {"int32"}
_FIL = _FI | {"int64"}
_BOOL = frozenset({"bool"})
_BYTES = frozenset({"int8", "uint8"})
_BITS = _BYTES | {"int16", "uint16", "int32", "uint32"}
_SHORT = frozenset({"int16"})
_UINT32 = frozenset({"uint32"})
_MOVABLE = _FIL | _BYTES | _SHORT | _BOOL
_CASTABLE = _MOVABLE | _UINT32 | {"uint16", "float16", "float64"}
_ALL = _CASTABLE | {"uint64"}

_ROWS = (
    # elementwise, one operand
    TfliteOp("abs", _FI, "abs", Int8.OWN_SCALE),
    TfliteOp("ceil", _F, "math.ceil", Int8.FLOAT),
    TfliteOp("cos", _F, "cos", Int8.FLOAT),
    TfliteOp("elu", _F, "nn.elu", Int8.OWN_SCALE),
    TfliteOp("exp", _F, "exp", Int8.OWN_SCALE),
    TfliteOp("floor", _F, "floor", Int8.FLOAT),
    TfliteOp("gelu", _F, HANDLER, Int8.LISTED),
    TfliteOp("hard_swish", _F, HANDLER, Int8.LISTED),
    TfliteOp("l2_normalization", None, None, FixedScale(1 / 128, 0)),
    TfliteOp("leaky_relu", _F, HANDLER, Int8.OWN_SCALE),
    TfliteOp("local_response_normalization", _F, HANDLER, Int8.FLOAT),
    TfliteOp("log", _F, "math.log", Int8.OWN_SCALE),
    TfliteOp("log_softmax", _F, "nn.log_softmax", FixedScale(16 / 256, 127)),
    TfliteOp("logical_not", _BOOL, "logical_not", Int8.FLOAT),
    TfliteOp("logistic", _F, "sigmoid", Int8.LISTED),
    TfliteOp("neg", _FIL, "negative", Int8.FLOAT),
    TfliteOp("relu", _F, "nn.relu", Int8.LISTED),
    TfliteOp("relu6", _F, "nn.relu6", Int8.OWN_SCALE),
    TfliteOp("relu_0_to_1", None, None, Int8.OWN_SCALE),
    TfliteOp("relu_n1_to_1", _F, HANDLER, Int8.OWN_SCALE),
    TfliteOp("round", _F, "round", Int8.FLOAT),
    TfliteOp("rsqrt", _F, "math.rsqrt", Int8.LISTED),
    TfliteOp("sign", _FI, "sign", Int8.FLOAT),
    TfliteOp("sin", _F, "sin", Int8.FLOAT),
    TfliteOp("softmax", _F, HANDLER, Int8.LISTED),
    TfliteOp("sqrt", _F, "sqrt", Int8.LISTED),
    TfliteOp("square", _F, "square", Int8.FLOAT),
    TfliteOp("tanh", _F, "tanh", Int8.LISTED),
    # elementwise, more operands
    TfliteOp("add", _FIL, "add", Int8.LISTED),
    TfliteOp("atan2", _F, "atan2", Int8.FLOAT),
    TfliteOp("bitcast", _ALL - _BOOL, HANDLER, Int8.FLOAT),
    TfliteOp("bitwise_xor", _BITS, "bitwise.bitwise_xor", Int8.FLOAT),
    TfliteOp("div", _FI, HANDLER, Int8.LISTED),
    TfliteOp("equal", _FIL | _BOOL, "equal", Int8.LISTED),
    TfliteOp("floor_div", _FI, "math.floordiv", Int8.FLOAT),
    TfliteOp("floor_mod", _FIL, "math.floormod", Int8.FLOAT),
    TfliteOp("greater", _FIL, "greater", Int8.FLOAT),
    TfliteOp("greater_equal", _FIL, "greater_equal", Int8.FLOAT),
    TfliteOp("less", _FIL, "less", Int8.FLOAT),
    TfliteOp("less_equal", _FIL, "less_equal", Int8.FLOAT),
    TfliteOp("logical_and", _BOOL, "logical_and", Int8.FLOAT),
    TfliteOp("logical_or", _BOOL, "logical_or", Int8.FLOAT),
    TfliteOp("maximum", _FIL, "maximum", Int8.LISTED),
    TfliteOp("minimum", _FIL, "minimum", Int8.OUTPUT_SCALE),
    TfliteOp("mul", _FIL, "multiply", Int8.LISTED),
    TfliteOp("not_equal", _FIL | _BOOL, "not_equal", Int8.LISTED),
    TfliteOp("pow", _FI, "pow", Int8.FLOAT),
    TfliteOp("prelu", _F, HANDLER, Int8.OWN_SCALE),
    TfliteOp("right_shift", _BITS, "bitwise.right_shift", Int8.FLOAT),
    TfliteOp("select_v2", _MOVABLE | _UINT32, "where", Int8.LISTED),
    TfliteOp("squared_difference", _FI, "math.squared_difference", Int8.LISTED),
    TfliteOp("sub", _FIL, "subtract", Int8.LISTED),
    # moving, selecting, generating
    TfliteOp("batch_to_space_nd", None, None, Int8.INPUT_SCALE),
    TfliteOp("broadcast_to", _MOVABLE, "broadcast_to", Int8.LISTED),
    TfliteOp("cast", _CASTABLE, HANDLER, Int8.FLOAT),
    TfliteOp("concatenation", _MOVABLE, HANDLER, Int8.LISTED),
    TfliteOp("dequantize", _BYTES | _SHORT, HANDLER, Int8.FLOAT),
    TfliteOp("depth_to_space", _FIL | _BYTES, HANDLER, Int8.INPUT_SCALE),
    TfliteOp("dynamic_update_slice", _FIL | _BOOL, HANDLER, Int8.LISTED),
    TfliteOp("expand_dims", None, None, Int8.INPUT_SCALE),
    TfliteOp("fill", _FIL | _BOOL | _SHORT | {"int8"}, "fill", Int8.FLOAT),
    TfliteOp("gather", _MOVABLE, HANDLER, Int8.LISTED),
    TfliteOp("gather_nd", _MOVABLE - _BOOL, "gather_nd", Int8.LISTED),  # bool is of version 5, which LiteRT 1.0 has
    TfliteOp("mirror_pad", _FIL | _BYTES | _SHORT, HANDLER, Int8.LISTED),
    TfliteOp("one_hot", _MOVABLE, HANDLER, Int8.FLOAT),
    TfliteOp("pack", _MOVABLE, HANDLER, Int8.LISTED),
    TfliteOp("pad", _FIL | _BYTES, "pad", Int8.LISTED),
    TfliteOp("padv2", _FIL | _BYTES, HANDLER, Int8.LISTED),
    TfliteOp("quantize", _F, HANDLER, Int8.FLOAT),
    TfliteOp("random_uniform", _F, "random.uniform", Int8.FLOAT),
    TfliteOp("range", _FIL, "range", Int8.FLOAT),
    TfliteOp("reshape", _ALL, "reshape", Int8.LISTED),
    TfliteOp("reverse_sequence", _FIL | _SHORT | {"uint8"}, HANDLER, Int8.FLOAT),
    TfliteOp("reverse_v2", _MOVABLE, "reverse", Int8.INPUT_SCALE),
    TfliteOp("scatter_nd", _FIL | _BYTES, "scatter_nd", Int8.FLOAT),
    TfliteOp("shape", _ALL, "shape", Int8.FLOAT),
    TfliteOp("slice", _MOVABLE, "slice", Int8.LISTED),
    TfliteOp("space_to_batch_nd", None, None, Int8.INPUT_SCALE),
    TfliteOp("space_to_depth", _FIL | _BYTES, HANDLER, Int8.LISTED),
    TfliteOp("split", _F | _BYTES, HANDLER, Int8.LISTED),
    TfliteOp("split_v", _FIL | _BYTES | _SHORT, HANDLER, Int8.INPUT_SCALE),
    TfliteOp("squeeze", None, None, Int8.INPUT_SCALE),
    TfliteOp("strided_slice", _MOVABLE | _UINT32, HANDLER, Int8.LISTED),
    TfliteOp("tile", _FIL | _BYTES | _BOOL, "tile", Int8.INPUT_SCALE),
    TfliteOp("transpose", _MOVABLE, "transpose", Int8.LISTED),
    TfliteOp("unpack", _MOVABLE, HANDLER, Int8.LISTED),
    TfliteOp("where", _FIL | _BYTES | _UINT32 | _BOOL, "where", Int8.FLOAT),
    # over an axis
    TfliteOp("arg_max", _FI | _BYTES | _BOOL, HANDLER, Int8.OWN_SCALE),
    TfliteOp("arg_min", _FI | _BYTES | _BOOL, HANDLER, Int8.OWN_SCALE),
    TfliteOp("cumsum", _FIL, HANDLER, Int8.FLOAT),
    TfliteOp("mean", _FIL, HANDLER, Int8.LISTED),
    TfliteOp("non_max_suppression_v4", _F, HANDLER, Int8.FLOAT),
    TfliteOp("reduce_all", _BOOL, HANDLER, Int8.FLOAT),
    TfliteOp("reduce_any", _BOOL, HANDLER, Int8.FLOAT),
    TfliteOp("reduce_max", _FIL | _BYTES | _SHORT, HANDLER, Int8.INPUT_SCALE),
    TfliteOp("reduce_min", _FIL | _BYTES | _SHORT, HANDLER, Int8.LISTED),
    TfliteOp("reduce_prod", _FIL, HANDLER, Int8.FLOAT),
    TfliteOp("sum", _FIL, HANDLER, Int8.LISTED),
    TfliteOp("topk_v2", _FIL | _BYTES | _SHORT, HANDLER, Int8.FLOAT),
    TfliteOp("unsorted_segment_max", _FI, "math.unsorted_segment_max", Int8.FLOAT),
    TfliteOp("unsorted_segment_min", _FI, "math.unsorted_segment_min", Int8.FLOAT),
    TfliteOp("unsorted_segment_prod", _FI, "math.unsorted_segment_prod", Int8.FLOAT),
    # weights and windows
    TfliteOp("average_pool_2d", _F, HANDLER, Int8.LISTED),
    TfliteOp("batch_matmul", _F, HANDLER, Int8.LISTED),
    TfliteOp("conv_2d", _F, HANDLER, Int8.LISTED),
    TfliteOp("conv_3d", _F, HANDLER, Int8.FLOAT),
    TfliteOp("conv_3d_transpose", _F, HANDLER, Int8.FLOAT),
    TfliteOp("depthwise_conv_2d", _F, HANDLER, Int8.LISTED),
    TfliteOp("fully_connected", _F, HANDLER, Int8.LISTED),
    TfliteOp("max_pool_2d", _F, HANDLER, Int8.LISTED),
    TfliteOp("resize_bilinear", _F, HANDLER, Int8.LISTED),
    TfliteOp("resize_nearest_neighbor", _F, HANDLER, Int8.LISTED),
    TfliteOp("transpose_conv", _F, HANDLER, Int8.LISTED),
)

OPS: dict[str, TfliteOp] = {row.name: row for row in _ROWS}
"""Name in the TFL dialect → the operator."""
