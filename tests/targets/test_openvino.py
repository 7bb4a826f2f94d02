"""TFLite and ONNX files on OpenVINO, an independent runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array

from edgeworthy.artifact import OnnxModel, TensorSpec, TFLiteModel
from edgeworthy.convert import convert
from edgeworthy.errors import BadInput, CheckFailed, NotAvailable
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.formats.tflite.summary import describe
from edgeworthy.quantize.calibration import load_calibration
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe
from edgeworthy.targets import find, get
from edgeworthy.targets.environments import borrow
from edgeworthy.targets.openvino import KIT, installed, receipt
from edgeworthy.targets.tflite import TFLite
from edgeworthy.targets.worker import Worker

pytestmark = pytest.mark.device


def layer(kind: str, name: str, primitive: str, precision: str, originals: str = "") -> dict[str, str]:
    return {"layerType": kind, "name": name, "primitiveType": primitive, "runtimePrecision": precision,
            "originalLayersNames": originals or name}  # fmt: skip


def test_the_executed_graph_is_read() -> None:
    read = receipt([
        layer("Input", "image", "unknown_f32", "f32"), layer("Reorder", "r", "reorder_bf16", "bf16"),
        layer("Convolution", "conv", "brgconv_avx512_amx_bf16", "bf16", "conv,relu,add"),
        layer("FullyConnected", "head", "brgemm_avx512_amx_bf16", "bf16"), layer("TopK", "top", "ref_any_f32", "f32"),
        layer("Const", "w", "unknown_f32", "f32"), layer("Output", "out", "unknown_f32", "f32"),
    ])  # fmt: skip
    assert (read.nodes, read.delegated, read.precision) == (3, 3, "bfloat16+float32")
    assert read.notes == ("primitives: 3, of 5 operators", "reference kernel: TopK top")
    assert receipt([layer("Input", "x", "unknown_f32", "f32")]).precision == "none"


@pytest.fixture(autouse=True)
def openvino(request: pytest.FixtureRequest) -> None:
    if request.node.name != "test_the_executed_graph_is_read":
        if installed() is None:
            pytest.skip("no OpenVINO: edgeworthy targets install openvino, or pip install edgeworthy[openvino]")
        borrow(KIT)


def nhwc(images: Any) -> Any:
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def test_tflite_matches_pytorch_at_every_batch_size(tflite_model: TFLiteModel, images: Any, expected: Any) -> None:
    with Worker("openvino,precision=float32", tflite_model) as worker:
        for batch in (2, 1, 2):
            out = worker.run({"image": nhwc(images[:batch])})
            assert list(out) == ["logits"]
            np.testing.assert_allclose(out["logits"], expected[:batch], atol=1e-5)
        told = worker.receipt
        assert (told.ran, told.precision, told.measured) == ("OpenVINO CPU", "float32", None)
        assert told.nodes == told.delegated and told.nodes
        assert all(t > 0 for t in worker.time({"image": nhwc(images)}, 3))


def test_onnx_matches_pytorch_at_every_batch_size(onnx_model: OnnxModel, images: Any, expected: Any) -> None:
    with Worker("openvino:onnx,precision=float32", onnx_model) as worker:
        for batch in (2, 1):
            out = worker.run({"image": images[:batch]})
            np.testing.assert_allclose(out["logits"], expected[:batch], atol=1e-5)


def test_its_own_precision_is_what_it_executed(onnx_model: OnnxModel, images: Any, expected: Any) -> None:
    """bfloat16 on CPUs that have it, and the receipt says so."""
    session = get("openvino:onnx").load(onnx_model)
    error = np.abs(session.run({"image": images})["logits"] - expected).max()
    assert ("bfloat16" in session.receipt.precision) == bool(error > 1e-4)


def test_int8_is_within_a_quantum_of_tflite(tflite_int8: TFLiteModel, images: Any) -> None:
    session, reference = get("openvino").load(tflite_int8), TFLite(kernels="reference").load(tflite_int8)
    feed = np.random.default_rng(3).integers(-128, 128, (2, 8, 8, 3)).astype(np.int8)
    raw, known = session.run({"image": feed})["logits"], reference.run({"image": feed})["logits"]
    assert raw.dtype == np.int8 and np.abs(raw.astype(int) - known.astype(int)).max() <= 1
    assert session.run({"image": nhwc(images)})["logits"].dtype == np.float32
    assert "int8" in session.receipt.precision


@pytest.fixture
def int4_layer(tmp_path: Path) -> Path:
    """A linear layer of 32 to 8 with int4 weights."""
    weights = np.random.default_rng(0).standard_normal((32, 8)).astype(np.float32)
    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, k]) for n, k in (("x", 32), ("y", 8))]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g", sides[:1], sides[1:], [from_array(weights, "w")]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "m.onnx")
    floating = convert(tmp_path / "m.onnx", tmp_path, to=["tflite"]).tflite
    assert floating is not None
    path = tmp_path / "int4.tflite"
    quantize(floating, path, Recipe.of("dynamic_wi4_afp32"))
    return path


@pytest.mark.parametrize(
    "scheme", ["float16", "dynamic_wi8_afp32", "static_wi8_ai8", "static_wi8t_ai8", "static_wi8_ai16"]
)
def test_files_of_our_own_quantizer(scheme: str, plain: TFLiteModel, tmp_path: Path) -> None:
    """A convolution that stays float on CPUs as well, and so the quantizer's own QUANTIZE after it."""
    source, data = describe(next(plain.path.parent.glob("model*.tflite"))), tmp_path / "data.npz"
    feeds = np.random.default_rng(0).standard_normal((16, 1, 3, 16, 16)).astype(np.float32)
    np.savez(data, image=feeds)
    static = scheme.startswith("static")
    recipe = Recipe.of(scheme, device="cpu", exclude=("conv",) if static else ())
    path = tmp_path / "model.tflite"
    quantize(source, path, recipe, calibration=load_calibration(data, source.inputs) if static else None)
    ours, theirs = (target.load(describe(path)) for target in (get("openvino", precision="float32"), TFLite()))
    (name,) = (spec.name for spec in source.outputs)
    for feed in feeds[:4]:
        wanted, got = (session.run({"image": feed})[name] for session in (theirs, ours))
        assert np.abs(got - wanted).max() <= 0.02 * np.abs(wanted).max()


def test_int4_of_linear_layers_is_computed(int4_layer: Path) -> None:
    """From the file's own weights, and no further off than activations in 255 steps make it: half a step for each."""
    model = fb.read(int4_layer.read_bytes())
    (stored,) = (t for t in model.subgraphs[0].tensors if t.type == fb.TensorType.INT4)
    values = fb.values(model, stored)
    assert values is not None and values.shape == (8, 32)
    weights = values * np.asarray(stored.quantization.scale).reshape(-1, 1)
    session = get("openvino", precision="float32").load(describe(int4_layer))
    for scale in (0.0, 1.0, 50.0):
        feed = (np.random.default_rng(1).standard_normal((1, 32)) * scale).astype(np.float32)
        bound = np.abs(feed).max() / 127 / 2 * np.abs(weights).sum(axis=1)
        assert (np.abs(session.run({"x": feed})["y"] - feed @ weights.T) <= bound).all()


@pytest.mark.parametrize("scheme", ["dynamic_wi4_afp32", "weight_only_wi4_afp32"])
def test_int4_of_convolutions_is_refused_by_name(scheme: str, plain: TFLiteModel, tmp_path: Path) -> None:
    """OpenVINO's own reader turns their axes, which it can't of int4: "supported only for ndims <= 3"."""
    path = tmp_path / "model.tflite"
    quantize(describe(next(plain.path.parent.glob("model*.tflite"))), path, Recipe.of(scheme))
    with pytest.raises(CheckFailed, match="takes no int4 weights of more than three axes") as caught:
        get("openvino").load(describe(path))
    assert "int8" in (caught.value.remedy or "")


def test_outputs_of_every_rank_and_dtype(made: Callable[..., TFLiteModel], tensorflow: Any) -> None:
    tf = tensorflow
    model = made(
        lambda x, scalar: {
            "sum": tf.reduce_sum(x), "positive": x > 0, "whole": tf.cast(x, tf.int64), "scaled": x * scalar,
            "where": tf.where(x > 0),
        },
        x=TensorSpec("x", "float32", (2, 8)),
        scalar=TensorSpec("scalar", "float32", ()),
    )  # fmt: skip
    x = np.array([[0.0, -0.0, 1.5, -1.5, 3e4, -3e4, 0.25, -7.0]] * 2, np.float32)
    out = get("openvino", precision="float32").load(model).run({"x": x, "scalar": np.array(3.0, np.float32)})
    assert out["sum"].shape == () and out["sum"] == x.sum()
    np.testing.assert_array_equal(out["positive"], x > 0)
    np.testing.assert_array_equal(out["whole"], x.astype(np.int64))
    np.testing.assert_array_equal(out["scaled"], x * 3)
    np.testing.assert_array_equal(out["where"], np.argwhere(x > 0))


def test_results_live_on_after_the_next_run(tflite_model: TFLiteModel, images: Any) -> None:
    session = get("openvino").load(tflite_model)
    first = session.run({"image": nhwc(images)})["logits"]
    kept = first.copy()
    session.run({"image": np.zeros_like(nhwc(images))})
    np.testing.assert_array_equal(first, kept)


def test_what_it_cant_run_is_refused_by_name(
    made: Callable[..., TFLiteModel], tmp_path: Any, tflite_model: TFLiteModel, onnx_model: OnnxModel
) -> None:
    x = TensorSpec("x", "float32", (2, 8))
    with pytest.raises(CheckFailed, match=r"left \['none'\] out"):
        get("openvino").load(made(lambda x: {"none": x[:, :0] * 2.0, "y": x + 1.0}, x=x))
    node = helper.make_node("Whirl", ["x"], ["y"], domain="nowhere")
    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 8]) for n in "xy"]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("nowhere", 1)]
    model = helper.make_model(helper.make_graph([node], "g", sides[:1], sides[1:]), opset_imports=opsets, ir_version=9)
    onnx.save(model, tmp_path / "a 'model'.onnx")
    odd = OnnxModel(tmp_path / "a 'model'.onnx", (x,), (TensorSpec("y", "float32", (2, 8)),))
    with pytest.raises(CheckFailed, match="can't run this file") as caught:
        get("openvino:onnx").load(odd)
    assert any("Whirl" in line for line in caught.value.details)
    with pytest.raises(BadInput, match="runs onnx models"):
        get("openvino:onnx").load(tflite_model)
    with pytest.raises(BadInput, match="takes the inputs"):
        get("openvino:onnx").load(onnx_model).run({"picture": np.zeros((1, 3, 8, 8), np.float32)})


def test_an_output_that_is_an_input_is_refused(tmp_path: Any) -> None:
    """Of an ONNX file; OpenVINO 2026.3 makes a second input of it, which nobody feeds."""
    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", sides[:1], sides[::-1])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "m.onnx")
    x, y = (TensorSpec(name, "float32", (2, 3)) for name in "xy")
    with pytest.raises(CheckFailed, match="nonsense where an output is an input itself: x"):
        get("openvino:onnx").load(OnnxModel(tmp_path / "m.onnx", (x,), (y, x)))


def test_a_device_that_isnt_there_is_not_available() -> None:
    import openvino

    if "NPU" in openvino.Core().available_devices:
        pytest.skip("this machine has an NPU")
    with pytest.raises(NotAvailable, match="OpenVINO has no NPU here; it has CPU"):
        get("openvino,device=npu").version()
    assert find("openvino:onnx,device=npu").options == {"kind": "onnx", "device": "npu"}
