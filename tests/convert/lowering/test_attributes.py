"""Attributes that are numbers, in every float type: an operator takes the type of its input, not the attribute's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeworthy.artifact import TFLiteModel
from edgeworthy.convert import convert
from edgeworthy.targets.tflite import TFLite

TOLERANCE = {"float16": 1e-2, "float32": 1e-5, "float64": 1e-6}

CASES: list[tuple[str, list[int], list[tuple[int, ...]], dict[str, Any]]] = [
    ("Gemm", [3, 4], [(4, 5)], {"alpha": 0.3}),
    ("Gemm", [3, 4], [(4, 5), (5,)], {"alpha": 0.5, "beta": 0.3}),
    ("Gemm", [3, 4], [(5, 4), ()], {"alpha": 0.5, "beta": 0.3, "transB": 1}),
    ("Gemm", [3, 4], [(4, 5), (3, 5)], {"alpha": 0.3, "beta": 0.25}),
    ("LeakyRelu", [3, 4], [], {"alpha": 0.3}),
    ("Elu", [3, 4], [], {"alpha": 0.3}),
    ("Selu", [3, 4], [], {"alpha": 1.3, "gamma": 1.1}),
    ("HardSigmoid", [3, 4], [], {"alpha": 1 / 6, "beta": 0.5}),
    ("HardSigmoid", [3, 4], [], {"alpha": 0.3, "beta": 0.4}),
    ("ThresholdedRelu", [3, 4], [], {"alpha": 0.3}),
    ("Shrink", [3, 4], [], {"bias": 0.2, "lambd": 0.3}),
    ("LpPool", [1, 2, 4, 4], [], {"kernel_shape": [2, 2], "p": 3}),
    ("LayerNormalization", [2, 4], [(4,), (4,)], {"epsilon": 1e-3}),
    ("InstanceNormalization", [1, 3, 4, 4], [(3,), (3,)], {"epsilon": 1e-3}),
]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{len(c[2])}-{next(iter(c[3].values()))}")
def test_in_every_float_type(tmp_path: Path, case: Any, dtype: str) -> None:
    op, shape, constants, attributes = case
    rng = np.random.default_rng(0)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    arrays = {f"c{i}": rng.uniform(0.1, 1, dims).astype(dtype) for i, dims in enumerate(constants)}
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *arrays], ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(onnx.shape_inference.infer_shapes(model), tmp_path / "m.onnx")
    x = rng.normal(size=shape).astype(dtype)
    x.reshape(-1)[:2] = 0
    made = convert(tmp_path / "m.onnx", tmp_path, to=["tflite"]).tflite
    assert isinstance(made, TFLiteModel)
    got = TFLite(kernels="builtin").load(made).run({"x": x})["y"]
    want: Any
    (want,) = ReferenceEvaluator(model).run(None, {"x": x})
    assert got.dtype == np.dtype(dtype) == want.dtype
    np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=0, atol=3 * TOLERANCE[dtype])
