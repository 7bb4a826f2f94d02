"""Splits, slices and gathers in the forms that XNNPACK takes: what cuts a tensor doesn't cut the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx.parser
import onnxruntime as ort
import pytest

from edgeworthy.formats.tflite.summary import describe, summarize
from edgeworthy.quantize.calibration import load_calibration
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe
from edgeworthy.targets.remote.there.litert import LiteRTModel

from ...conformance.adapters import convert_to, run_tflite
from .against_ort import assert_agrees, model_of

CASES = [
    ("a, b = Split<axis=1, num_outputs=2>(r) y = Mul(a, b)", "SPLIT"),
    ("a, b, c, d = Split<axis=2, num_outputs=4>(r) e = Mul(a, b) f = Mul(c, d) y = Sub(e, f)", "SPLIT"),
    ("n = Constant<value_ints=[3, 5]>() a, b = Split<axis=1>(r, n) s = ReduceMean(a) y = Mul(s, b)", "SLICE"),
    ("a, b, c, d, e, f = Split<axis=2, num_outputs=6>(r) g = Sub(a, f) y = Mul(g, c)", "SLICE"),
    ("i = Constant<value_int=-2>() a = Gather<axis=2>(r, i) y = Neg(a)", "SLICE"),
    ("i = Constant<value_ints=[2, 3, 4]>() a = Gather<axis=1>(r, i) y = Neg(a)", "SLICE"),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "operator"), CASES)
def test_what_cuts_a_tensor_leaves_one_partition(nodes: str, operator: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((2, 8, 12)).astype(np.float32)
    model = graph(f"r = Tanh(x) {nodes}", "float[2,8,12]")
    made = assert_agrees(model, [{"x": x}], tmp_path, atol=1e-6)["tflite"]
    counts = summarize(made).op_counts
    assert counts[operator]
    assert not {"SPLIT_V", "GATHER"} & {*counts}
    receipt = LiteRTModel(str(made), 1).receipt()
    assert (receipt["partitions"], receipt["fallback"]) == (1, [])


@pytest.mark.parametrize(
    "nodes",
    [
        "i = Constant<value_ints=[2, 4]>() y = Gather<axis=1>(x, i)",
        "i = Constant<value_ints=[3, 2]>() y = Gather<axis=1>(x, i)",
        "i = Constant<value_ints=[1, 1]>() y = Gather<axis=1>(x, i)",
        "i = Constant<value_ints=[-1, 0]>() y = Gather<axis=1>(x, i)",
        "i = Constant<value_ints=[-1]>() y = Gather<axis=0>(x, i)",
        "i = Constant<value_ints=[5, 6]>() y = Gather<axis=1>(x, i)",
        "i = Constant<value_int=0>() y = Gather<axis=0>(x, i)",
    ],
)
@pytest.mark.parametrize("batch", [1, 3])
def test_gathers_of_every_kind_of_index(nodes: str, batch: int, tmp_path: Path) -> None:
    """Of a dynamic first axis too, whose last element no index says from the front."""
    x = np.random.default_rng(0).standard_normal((batch, 8)).astype(np.float32)
    assert_agrees(graph(nodes, "float[n,8]"), [{"x": x}], tmp_path, artifacts=["tflite"], rtol=0, atol=0)


def graph(nodes: str, x: str) -> bytes:
    text = f'<ir_version: 9, opset_import: ["": 18]> g ({x} x) => (float y) {{ {nodes} }}'
    model = onnx.parser.parse_model(text)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return bytes(model.SerializeToString())


def test_a_split_of_which_a_part_is_not_used_becomes_slices(tmp_path: Path) -> None:
    """As in the first step of an unrolled LSTM, which has nothing to forget. XNNPACK fails on such a SPLIT of int8."""
    x = np.random.default_rng(0).standard_normal((2, 8, 12)).astype(np.float32)
    model = graph("r = Tanh(x) a, b, c, d = Split<axis=2, num_outputs=4>(r) y = Mul(b, d)", "float[2,8,12]")
    made = convert_to("tflite", model, tmp_path)
    counts = summarize(made).op_counts
    assert "SPLIT" not in counts
    assert counts["SLICE"] == 2
    np.testing.assert_allclose(
        run_tflite(made, {"x": x})["y"], ort.InferenceSession(model).run(None, {"x": x})[0], 1e-5
    )
    path = tmp_path / "int8.tflite"
    np.savez(tmp_path / "data.npz", x=np.stack([x, -x]))
    described = describe(made)
    quantize(described, path, Recipe.of("int8"), calibration=load_calibration(tmp_path / "data.npz", described.inputs))
    np.testing.assert_allclose(run_tflite(path, {"x": x})["y"], run_tflite(made, {"x": x})["y"], atol=0.03)


@pytest.mark.parametrize(("nodes", "shape"), [
    ("m = MatMul(x, w) y = Expand(m, s)", (1, 1, 8)), ("m = MatMul(x, w) a = Add(m, b) y = Expand(a, s)", (1, 1, 8)),
    ("r = Relu(x) y = Expand(r, s)", (1, 1, 6)), ("r = Relu(x) y = Expand(r, s)", (6,)),
    ("r = Relu(x) e = Expand(r, s) y = Sub(e, e)", (2, 1, 1)), ("r = Relu(x) y = Expand(r, s)", (2, 5, 6)),
    ("r = Relu(x) y = Expand(r, s)", (5, 6)),
])  # fmt: skip
def test_what_is_expanded_leaves_one_partition(nodes: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """To [2,5,6], by a product with ones, which no product before it takes in; what adds axes alone is a reshape."""
    rng = np.random.default_rng(0)
    constants = {"w": rng.standard_normal((8, 6)), "b": rng.standard_normal(6)}
    text = f"(float[{','.join(map(str, shape))}] x) => (float[a,b,c] y)"
    given = {name: a.astype(np.float32) for name, a in constants.items() if f" {name})" in nodes}
    model = model_of(text, nodes, {"s": np.array([2, 5, 6], np.int64), **given})
    x = rng.standard_normal(shape).astype(np.float32)
    x.flat[:2] = np.inf, -0.0
    if "MatMul" in nodes:
        x.flat[0] = 1
    with np.errstate(invalid="ignore"):
        made = assert_agrees(model, [{"x": x}], tmp_path, artifacts=["tflite"], rtol=1e-6, atol=1e-6)["tflite"]
    assert LiteRTModel(str(made), 1).receipt()["fallback"] == []


MASKED = """<ir_version: 9, opset_import: ["" : 18]> g (int64[1,2,6] x, int64[1,1,1,6] m) => (float[1,2,6,4] y)
    <bool[1,1,6,1] rows = {1,1,1,1,1,1}, float zero = {0}, float lowest = {-3.4028234663852886e38}, int64 none = {0},
     float[3,4] table = {0.5,-1,2,0.25,1,1,-3,0,-0.5,2,1,-1}> {
        t = Gather (table, x) k = Transpose <perm = [0,1,3,2]> (t) s = MatMul (t, k)
        e = Equal (m, none) n = Not (e) a = And (rows, n) b = Where (a, zero, lowest)
        c = Add (s, b) p = Softmax <axis = -1> (c) q = IsNaN (p) r = Where (q, zero, p) y = MatMul (r, t)
    }"""


def test_a_mask_of_keys_leaves_one_partition(tmp_path: Path) -> None:
    """As torch.onnx writes it for BERT: its operators come before those that XNNPACK takes, one row for all."""
    x = np.random.default_rng(0).integers(0, 3, (1, 2, 6))
    masks = [np.array(mask).reshape(1, 1, 1, 6) for mask in ([1] * 6, [1, 1, 0, 1, 0, 0], [0] * 6)]
    model = onnx.parser.parse_model(MASKED).SerializeToString()
    made = assert_agrees(model, [{"x": x, "m": mask} for mask in masks], tmp_path, atol=1e-6)
    receipt = LiteRTModel(str(made["tflite"]), 1).receipt()
    assert receipt["partitions"] == 1
    assert "LOGICAL_AND" not in summarize(made["tflite"]).op_counts


WINDOWS = """a = Transpose <perm = [0,2,1]> (r) last = Constant <value_ints = [-1]> () b = Unsqueeze (a, last)
    pads = Constant <value_ints = [0,0,1,0,0,0,1,0]> () c = Pad (b, pads) i = Constant <value = int64[3,8] {0,1,2,3,4,
    5,6,7,1,2,3,4,5,6,7,8,2,3,4,5,6,7,8,9}> () d = Gather <axis = 2> (c, i) s = Constant <value_ints = [1,36,8]> ()
    e = Reshape (d, s) f = Transpose <perm = [0,2,1]> (e) t = Constant <value_ints = [8,12,3]> ()
    g = Reshape (f, t) y = Neg (g)"""


def test_unfolded_tokens_are_gathered_by_rows(tmp_path: Path) -> None:
    """As torch.onnx writes ``unfold`` of ConvBERT: one transpose of the windows, none of the tokens."""
    x = np.random.default_rng(0).standard_normal((1, 8, 12)).astype(np.float32)
    made = assert_agrees(graph(f"r = Tanh(x) {WINDOWS}", "float[1,8,12]"), [{"x": x}], tmp_path, atol=1e-6)["tflite"]
    counts = summarize(made).op_counts
    assert (counts["GATHER"], counts["PAD"], counts["TRANSPOSE"]) == (1, 1, 1)


def test_what_looks_up_words_divides_no_picture_from_them(tmp_path: Path) -> None:
    """A picture first, then words with a mask, as CLIP has them: what XNNPACK leaves of the words comes first."""
    rng = np.random.default_rng(0)
    text = """<ir_version: 9, opset_import: ["": 18]> g (float[2,8] x, int64[2,5] ids, int64[2,5] mask) => (float y)
    <float[8,6] w = {WORDS}, float[30,6] table = {TABLE}, int64 none = {0}> {
        a = MatMul(x, w) picture = Tanh(a)
        words = Gather(table, ids) masked = Equal(mask, none) no = Cast<to=1>(masked) last = Constant<value_ints=[-1]>()
        wide = Unsqueeze(no, last) away = Mul(wide, words) kept = Sub(words, away) b = Sigmoid(kept)
        middle = Constant<value_ints=[1]>() one = Unsqueeze(picture, middle) y = Mul(one, b)
    }"""
    for name, size in (("WORDS", 48), ("TABLE", 180)):
        text = text.replace(f"{{{name}}}", "{" + ", ".join(f"{v:.4f}" for v in rng.normal(size=size)) + "}")
    model = onnx.parser.parse_model(text)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    feeds = [
        {"x": x.astype(np.float32), "ids": rng.integers(-30, 30, (2, 5)), "mask": rng.integers(0, 2, (2, 5))}
        for x in (rng.normal(size=(2, 8)), np.zeros((2, 8)), np.full((2, 8), 3e38))
    ]
    made = assert_agrees(bytes(model.SerializeToString()), feeds, tmp_path, atol=1e-6)["tflite"]
    operators = [op.op for op in summarize(made).graphs[0].ops]
    assert operators.index("CAST") < operators.index("FULLY_CONNECTED")
    receipt = LiteRTModel(str(made), 1).receipt()
    assert receipt["partitions"] == 1
    assert not {"FULLY_CONNECTED", "TANH", "LOGISTIC"} & {node.split()[0] for node in receipt["fallback"]}
