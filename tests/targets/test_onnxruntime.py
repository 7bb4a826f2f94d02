from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import OnnxModel, TensorSpec
from edgeworthy.errors import BadInput, NotAvailable
from edgeworthy.targets import get
from edgeworthy.targets.onnxruntime import CUDA, OnnxRuntime


def test_matches_pytorch_optimised_or_not(onnx_model: OnnxModel, images: Any, expected: Any) -> None:
    for optimize in (True, False):
        session = OnnxRuntime(optimize=optimize).load(onnx_model, threads=2)
        out = session.run({"image": images})
        assert list(out) == ["logits"]
        np.testing.assert_allclose(out["logits"], expected, atol=1e-5)
        assert session.receipt.ran == "CPUExecutionProvider"
        assert bool(session.receipt.notes) is not optimize


def test_outputs_come_in_the_artifacts_order(tmp_path: Any) -> None:
    import onnx
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["x"], ["b"])]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("x", "a", "b")]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "m.onnx")
    specs = {n: TensorSpec(n, "float32", (2,)) for n in ("x", "a", "b")}
    artifact = OnnxModel(tmp_path / "m.onnx", (specs["x"],), (specs["b"], specs["a"]))
    out = get("onnxruntime").load(artifact).run({"x": np.array([1, -2], np.float32)})
    assert list(out) == ["b", "a"]
    np.testing.assert_array_equal(out["b"], [-1, 2])


def test_shape_of_one_name_must_be_one_extent(onnx_model: OnnxModel, images: Any) -> None:
    square = replace(onnx_model, inputs=(TensorSpec("image", "float32", ("n", "n", 8, 8)),))
    with pytest.raises(BadInput, match="has shape"):
        OnnxRuntime().load(square).run({"image": images})


def test_missing_provider_is_not_available() -> None:
    import onnxruntime

    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("CUDA is there")
    with pytest.raises(NotAvailable, match="has no CUDAExecutionProvider"):
        get("onnxruntime-cuda").version()
