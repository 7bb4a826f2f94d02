from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import OnnxModel, TensorSpec, TFLiteModel
from edgeworthy.convert.builders.tensor import Spec
from edgeworthy.convert.builders.tflite import TfliteBuilder
from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite import edit
from edgeworthy.targets import get
from edgeworthy.targets.remote.there import litert
from edgeworthy.targets.remote.there.litert import delegation
from edgeworthy.targets.tflite import TFLite


def nhwc(images: Any) -> Any:
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def test_float_matches_pytorch_at_every_batch_size(tflite_model: TFLiteModel, images: Any, expected: Any) -> None:
    session = TFLite().load(tflite_model)
    for batch in (2, 1, 2):  # the tensors are resized each time
        out = session.run({"image": nhwc(images[:batch])})
        assert list(out) == ["logits"]
        np.testing.assert_allclose(out["logits"], expected[:batch], atol=1e-5)


def patches(path: Path, *, custom: bool = False) -> Path:
    """A file whose dynamic extents, 1 as they are stored, no window of its convolution fits into."""
    b = TfliteBuilder([("x", Spec("float32", (1, None, None, 1)))])
    ones = b.const(np.ones((1, 4, 4, 1), np.float32))
    sums = b.conv_2d(b.unary("exp", b.inputs[0]), ones, None, strides=(4, 4), dilations=(1, 1), padding="VALID")
    b.save([("y", b.unary("sqrt", sums))], path)
    if custom:
        model = edit.read(path.read_bytes())
        code = model.operatorCodes[0]
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = 32, 32, b"Mine"
        path.write_bytes(edit.write(model))
    return path


def test_a_file_that_only_other_extents_fit(tmp_path: Path) -> None:
    """The interpreter can't allocate it before it is resized; what it can never run it refuses at once."""
    model = litert.LiteRTModel(str(patches(tmp_path / "patches.tflite")), 1)
    assert model.inputs["x"]["shape"] == [1, 1, 1, 1]
    assert model.receipt()["delegated"] == 3
    with pytest.raises(RuntimeError, match="reshape"):
        model.run({"x": np.zeros((1, 1, 1, 1), np.float32)})
    for height, width in ((8, 12), (4, 4), (9, 8)):
        x = np.random.default_rng(0).standard_normal((1, height, width, 1)).astype(np.float32)
        windows = x[:, : height // 4 * 4, : width // 4 * 4].reshape(1, height // 4, 4, width // 4, 4, 1)
        np.testing.assert_allclose(model.run({"x": x})["y"], np.sqrt(np.exp(windows).sum((2, 4))), rtol=1e-5)
    with pytest.raises(RuntimeError, match="Mine"):
        litert.LiteRTModel(str(patches(tmp_path / "custom.tflite", custom=True)), 1)


def test_receipt_counts_the_nodes_that_xnnpack_took(tflite_model: TFLiteModel, images: Any) -> None:
    session = TFLite().load(tflite_model)
    session.run({"image": nhwc(images)})
    receipt = session.receipt
    assert (receipt.asked, receipt.ran, receipt.precision) == ("XNNPACK", "XNNPACK", "float32")
    assert receipt.nodes is not None and receipt.delegated is not None
    assert 0 < receipt.delegated <= receipt.nodes
    assert receipt.partitions and receipt.partitions >= 1


@pytest.mark.parametrize("kernels", ["builtin", "reference"])
def test_other_kernels_run_without_the_delegate(
    tflite_model: TFLiteModel, images: Any, expected: Any, kernels: Any
) -> None:
    session = get("tflite", kernels=kernels).load(tflite_model)
    np.testing.assert_allclose(session.run({"image": nhwc(images)})["logits"], expected, atol=1e-5)
    assert (session.receipt.asked, session.receipt.delegated) == ("none", 0)
    assert kernels in session.receipt.ran


@pytest.mark.parametrize(
    ("kernels", "nodes", "delegated", "family"),
    [
        ("xnnpack", [("QUANTIZE", "int8"), ("CONV_2D", "int8"), ("DEQUANTIZE", "float32")], 3, "XNNPACK"),
        ("xnnpack", [("CONV_2D", "int8"), ("MUL", "int8")], 2, "XNNPACK, arch"),  # MUL is off by one on Arm
        ("xnnpack", [("CONV_2D", "int8"), ("CONV_2D", "float32")], 2, "XNNPACK, arch"),
        ("xnnpack", [("CONV_2D", "uint8")], 1, "XNNPACK, arch"),
        ("xnnpack", [("CONV_2D", "int8"), ("GATHER", "int8")], 1, "XNNPACK for 1 of 2 nodes, arch"),
        ("xnnpack", [("CONV_2D", "int16")], 0, "TFLite builtin, arch"),
        ("builtin", [("CONV_2D", "int8")], 0, "TFLite builtin, arch"),
        ("reference", [("MUL", "int8")], 0, "TFLite reference"),
    ],
)
def test_a_family_of_kernels_is_where_the_same_bits_come_out(
    kernels: str, nodes: Any, delegated: int, family: str
) -> None:
    assert litert.family(kernels, nodes, delegated, "arch") == family


def test_receipts_tell_the_family(tflite_int8: TFLiteModel, tflite_model: TFLiteModel) -> None:
    here = platform.machine()
    assert TFLite().load(tflite_int8).receipt.kernels == "XNNPACK"
    assert TFLite().load(tflite_model).receipt.kernels == f"XNNPACK, {here}"
    own = {name: get("tflite", kernels=name).load(tflite_int8).receipt.kernels for name in ("builtin", "reference")}
    assert own == litert.own_families() == {"builtin": f"TFLite builtin, {here}", "reference": "TFLite reference"}


def test_int8_takes_floats_and_gives_floats_back(tflite_int8: TFLiteModel, images: Any, expected: Any) -> None:
    session = TFLite().load(tflite_int8)
    out = session.run({"image": nhwc(images)})["logits"]
    assert out.dtype == np.float32
    assert np.abs(out - expected).max() < 0.1 * np.abs(expected).max()
    assert session.receipt.precision.startswith("int8")


def test_int8_takes_int8_and_gives_int8_back(tflite_int8: TFLiteModel, images: Any) -> None:
    session = TFLite().load(tflite_int8)
    signature = session._signature  # type: ignore[attr-defined]
    details = signature.inputs["image"]
    steps = np.rint(nhwc(images) / details["scales"][0]) + details["zero_points"][0]
    raw = session.run({"image": np.clip(steps, -128, 127).astype(np.int8)})["logits"]
    assert raw.dtype == np.int8
    output = signature.outputs["logits"]
    floats = session.run({"image": nhwc(images)})["logits"]
    np.testing.assert_allclose(
        (raw.astype(np.float32) - output["zero_points"][0]) * output["scales"][0], floats, rtol=1e-6
    )


def test_prepared_call_gives_the_same_numbers(tflite_model: TFLiteModel, images: Any) -> None:
    session = TFLite().load(tflite_model)
    call = session.prepare({"image": nhwc(images)})
    first: Any = call()
    np.testing.assert_array_equal(first["logits"], session.run({"image": nhwc(images)})["logits"])


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"picture": np.zeros((1, 8, 8, 3), np.float32)}, "takes the inputs"),
        ({"image": np.zeros((1, 8, 8, 4), np.float32)}, "has shape"),
        ({"image": np.zeros((1, 8, 8, 3), np.float64)}, "is float32"),
    ],
)
def test_wrong_feeds_are_named(tflite_model: TFLiteModel, feeds: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        TFLite().load(tflite_model).run(feeds)


def test_wrong_names_and_kinds_are_refused(tflite_model: TFLiteModel, onnx_model: OnnxModel) -> None:
    other = TFLiteModel(tflite_model.path, (TensorSpec("photo", "float32", (1,)),), tflite_model.outputs)
    with pytest.raises(BadInput, match="lacks"):
        TFLite().load(other)
    with pytest.raises(BadInput, match="runs tflite models"):
        TFLite().load(onnx_model)


def test_delegation_counts_partitions_apart() -> None:
    def op(name: str, inputs: list[int], outputs: list[int]) -> dict[str, Any]:
        return {"op_name": name, "inputs": inputs, "outputs": outputs}

    # 0 → A → 1 → B → 2 → C → 3 → D → 4, where C is not delegated.
    nodes = [op("A", [0, -1], [1]), op("B", [1], [2]), op("C", [2], [3]), op("D", [3], [4])]
    delegates = [op("DELEGATE", [0], [2]), op("DELEGATE", [3], [4])]
    names = {3: "c"}
    assert delegation(nodes + delegates, names) == (4, 3, 2, ["C c"])
    assert delegation(nodes, {}) == (4, 0, 0, ["A ", "B ", "C ", "D "])
