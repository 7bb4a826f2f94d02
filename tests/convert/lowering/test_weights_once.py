"""Each weight is stored once in both artifacts: what is used, sliced or transposed again and again, what is tied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

from edgeworthy.formats.tflite import edit

from ...conformance.adapters import convert_to, run_saved_model, run_tflite

RNG = np.random.default_rng(0)


def weights(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def updates(count: int) -> str:
    """Two convolutions around a state, again and again."""
    steps = ["s0 = Tanh(x)"]
    for i in range(count):
        steps += [f"a{i} = Conv<pads=[1,1,1,1]>(s{i}, v)", f"b{i} = Relu(a{i})"]
        steps += [f"c{i} = Conv<pads=[1,1,1,1]>(b{i}, w)", f"s{i + 1} = Tanh(c{i})"]
    return " ".join([*steps, f"y = Identity(s{count})"])


RECURRENT = "n = Constant<value_ints=[1]>() {} y = Squeeze(s, n)"
# Name → nodes, type of the input, weights.
NETS = {
    "gru": (
        RECURRENT.format("s, h = GRU<hidden_size=150>(x, v, w)"),
        "float[9,1,70]", {"v": weights(1, 450, 70), "w": weights(1, 450, 150)},
    ),
    "lstm": (
        RECURRENT.format("s, h, c = LSTM<hidden_size=140>(x, v, w)"),
        "float[9,1,70]", {"v": weights(1, 560, 70), "w": weights(1, 560, 140)},
    ),
    "updates": (updates(12), "float[1,24,6,6]", {"v": weights(80, 24, 3, 3), "w": weights(24, 80, 3, 3)}),
    "tied": (
        "e = Gather(v, x) t = Transpose<perm=[1,0]>(v) h = Tanh(e) y = MatMul(h, t)",
        "int64[1,5]", {"v": weights(700, 60)},
    ),
    "tied the other way": (
        "t = Transpose<perm=[1,0]>(v) e = Gather(t, x) h = Tanh(e) y = MatMul(h, v)",
        "int64[n,5]", {"v": weights(60, 700)},
    ),
    "copies": (
        "a = MatMul(x, v) b = Tanh(a) c = MatMul(b, w) d = Tanh(c) y = MatMul(d, u)",
        "float[3,4,160]", dict.fromkeys("vwu", weights(160, 160)),
    ),
    "slices": (
        "b = Constant<value_ints=[0]>() e = Constant<value_ints=[150]>() "
        "p = Slice(v, b, e, b) a = MatMul(x, p) c = Tanh(a) q = Slice(v, b, e, b) y = MatMul(c, q)",
        "float[3,150]", {"v": weights(170, 150)},
    ),
}  # fmt: skip


def model(nodes: str, kind: str, stored: dict[str, np.ndarray]) -> bytes:
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> g ({kind} x) => (float y) {{ {nodes} }}')
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for name, a in stored.items())
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(proto).SerializeToString()


@pytest.mark.parametrize("name", NETS)
def test_a_weight_is_stored_once(name: str, tmp_path: Path) -> None:
    nodes, kind, stored = NETS[name]
    content = model(nodes, kind, stored)
    distinct = {array.tobytes(): array.nbytes for array in stored.values()}
    shape = [int(d) if d.isdigit() else 1 for d in kind.partition("[")[2].rstrip("]").split(",")]
    rng = np.random.default_rng(1)
    x = rng.integers(0, 60, shape) if kind.startswith("int64") else rng.standard_normal(shape).astype(np.float32)
    (want,) = ort.InferenceSession(content).run(None, {"x": x})

    made = convert_to("tflite", content, tmp_path)
    np.testing.assert_allclose(run_tflite(made, {"x": x})["y"], want, rtol=1e-4, atol=1e-5)
    buffers = edit.read(made.read_bytes()).buffers
    held = [buffer.data.size for buffer in buffers if buffer.data is not None and buffer.data.size > 4000]
    assert sum(held) <= sum(distinct.values())

    saved = convert_to("saved_model", content, tmp_path)
    np.testing.assert_allclose(run_saved_model(saved, {"x": x})["y"], want, rtol=1e-4, atol=1e-5)
    variables = sum(file.stat().st_size for file in (saved / "variables").glob("*.data-*"))
    assert variables <= sum(distinct.values()) + 8000
