"""If, Loop and Scan as IF and WHILE: both artifacts against ONNX Runtime, with values that decide at run time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

from edgeworthy.convert import convert
from edgeworthy.errors import UnsupportedNodes

from ...conformance.adapters import RUNNERS, convert_to
from ...noops import noops

Feeds = Mapping[str, Any]
X = np.array([[1, -2, 3], [0, 4, -1]], np.float32)


def check(text: str, feeds: list[Feeds], folder: Path, **weights: Any) -> None:
    """Every artifact gives what ONNX Runtime gives, of each of ``feeds``."""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, n) for n, a in weights.items())
    names = [o.name for o in model.graph.output]
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for artifact, run in RUNNERS.items():
        (folder / artifact).mkdir()
        made = convert_to(artifact, model.SerializeToString(), folder / artifact)
        assert artifact != "tflite" or not noops(made)
        for feed in feeds:
            got = run(made, feed)
            for name, want in zip(names, session.run(None, dict(feed)), strict=True):
                assert got[name].shape == want.shape and got[name].dtype == want.dtype, (artifact, name)
                np.testing.assert_allclose(got[name], want, rtol=1e-5, atol=1e-6, err_msg=f"{artifact}: {name}")


def test_an_if_of_other_sizes_with_outer_values_in_an_if(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2,3] x, bool c, bool d) => (float[n,3] y, float[2,3] z) {
        a = Exp (x)
        y, z = If (c) <
            then_branch = t () => (float[n,3] p, float[2,3] q) { p = Concat <axis = 0> (a, x)  q = MatMul (x, w) },
            else_branch = e () => (float[2,3] p2, float[2,3] q2) {
                p2 = If (d) <
                    then_branch = t2 () => (float[2,3] p3) { k = Neg (x) p3 = Add (k, a) },
                    else_branch = e2 () => (float[2,3] p4) { p4 = Identity (a) }>
                q2 = Identity (x) }>
    }"""
    feeds = [{"x": X, "c": np.array(c), "d": np.array(d)} for c in (True, False) for d in (True, False)]
    check(text, feeds, tmp_path, w=np.arange(9, dtype=np.float32).reshape(3, 3))


LOOP = """
<ir_version: 8, opset_import: ["" : 13]>
g (float[N,3] x, int64 m, bool c) => (float[N,3] y, float[k,N,3] z, int64[k2] i) {
    y, z, i = Loop (m, c, x) <body = b (int64 at, bool go, float[N,3] v)
            => (bool on, float[N,3] w, float[N,3] u, int64 s) {
        w = Mul (v, f)
        u = Neg (w)
        s = Add (at, at)
        r = ReduceMax <keepdims = 0> (w)
        on = Less (r, top) }>
}"""


@pytest.mark.parametrize("batch", ["N", "2"])
def test_a_loop_until_something_is_large(batch: str, tmp_path: Path) -> None:
    feeds = [{"x": X, "m": np.array(m), "c": np.array(True)} for m in (1, 3, 50)]
    if batch == "N":
        feeds += [{"x": np.ones((n, 3), np.float32), "m": np.array(4), "c": np.array(True)} for n in (1, 5)]
    else:
        feeds += [{"x": X, "m": np.array(0), "c": np.array(True)}, {"x": X, "m": np.array(9), "c": np.array(False)}]
    constants = {"f": np.float32(1.5), "top": np.float32(100)}
    check(LOOP.replace("[N", f"[{batch}").replace(",N,", f",{batch},"), feeds, tmp_path, **constants)


def test_a_loop_of_many_steps_and_one_that_ends_early(tmp_path: Path) -> None:
    text = LOOP.replace("[N", "[2").replace(",N,", ",2,").replace("int64 m, ", "")
    body = "w = Mul (v, f) t0 = Sin (w) t1 = Cos (t0) t2 = Add (t1, w) t3 = Sub (t2, t1) t4 = Abs (t3)"
    feeds = [{"x": X, "c": np.array(c)} for c in (True, False)]
    constants = {"f": np.float32(1.01), "top": np.float32(60), "m": np.array(400, np.int64)}
    check(text.replace("w = Mul (v, f)", body), feeds, tmp_path, **constants)


def test_a_state_that_grows_and_a_while_without_a_count(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[3] x, float limit) => (float[n] y, float s) {
        y, s = Loop (, yes, x, zero) <body = b (int64 at, bool go, float[n] v, float t)
            => (bool on, float[m] w, float q) {
            one = Unsqueeze (t, axes)
            w = Concat <axis = 0> (v, one)
            q = ReduceSum <keepdims = 0> (w)
            size = Shape (w)
            on = Less (q, limit) }>
    }"""
    feeds = [{"x": X[0], "limit": np.array(n, np.float32)} for n in (-1, 3, 100)]
    constants = {"yes": np.array(True), "zero": np.float32(0), "axes": np.array([0], np.int64)}
    check(text, feeds, tmp_path, **constants)


def test_a_loop_with_a_branch_and_a_convolution_in_it(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[1,4,8,8] x, int64 m) => (float[1,4,8,8] y) {
        y = Loop (m, , x) <body = b (int64 at, bool go, float[1,4,8,8] v) => (bool on, float[1,4,8,8] w) {
            odd = Mod (at, two)
            is = Cast <to = 9> (odd)
            w = If (is) <
                then_branch = t () => (float[1,4,8,8] p) { k = Conv <pads = [1,1,1,1]> (v, kernel) p = Relu (k) },
                else_branch = e () => (float[1,4,8,8] q) { q = Add (v, x) }>
            on = Identity (go) }>
    }"""
    rng = np.random.default_rng(0)
    feeds = [{"x": rng.normal(size=(1, 4, 8, 8)).astype("f"), "m": np.array(m)} for m in (0, 1, 5)]
    check(text, feeds, tmp_path, kernel=rng.normal(size=(4, 4, 3, 3)).astype("f") / 6, two=np.array(2, np.int64))


def test_a_scan_along_a_dynamic_axis_and_backwards(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[N,3] s, float[N,T,3] x) => (float[N,3] y, float[N,T,3] z, float[T] r) {
        y, z, r = Scan (s, x) <num_scan_inputs = 1, scan_input_axes = [1], scan_input_directions = [1],
            scan_output_axes = [1, 0], scan_output_directions = [0, 1],
            body = b (float[N,3] v, float[N,3] e) => (float[N,3] w, float[N,3] o, float q) {
                a = Mul (v, half)  w = Add (a, e)  o = Tanh (w)  q = ReduceMax <keepdims = 0> (o) }>
    }"""
    rng = np.random.default_rng(0)
    feeds = [
        {"s": rng.normal(size=(n, 3)).astype("f"), "x": rng.normal(size=(n, t, 3)).astype("f")}
        for n, t in ((1, 1), (2, 7), (3, 2))
    ]
    check(text, feeds, tmp_path, half=np.float32(0.5))
    (tmp_path / "batch").mkdir()
    feeds = [{"s": feeds[1]["s"], "x": feeds[1]["x"]}]
    check(text.replace("[N", "[2"), feeds, tmp_path / "batch", half=np.float32(0.5))


def test_a_long_scan_stays_a_loop(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[3] s, float[600,3] x) => (float[3] y, float[3,600] z) {
        y, z = Scan (s, x) <num_scan_inputs = 1, scan_output_axes = [-1],
            body = b (float[3] v, float[3] e) => (float[3] w, float[3] o) {
                a = Mul (v, half)  w = Add (a, e)  o = Neg (w) }>
    }"""
    rng = np.random.default_rng(0)
    check(text, [{"s": X[0], "x": rng.normal(size=(600, 3)).astype("f")}], tmp_path, half=np.float32(0.5))


def test_the_preflight_lists_what_is_in_bodies(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2,2] x, bool c, int64 m) => (float[2,2] y) {
        y = If (c) <
            then_branch = t () => (float[2,2] p) {
                p = Loop (m, , x) <body = b (int64 at, bool go, float[2,2] v) => (bool on, float[2,2] w) {
                    d = RandomNormalLike (v)  w = Add (v, d)  on = Identity (go) }> },
            else_branch = e () => (float[2,2] q) { q = MeanVarianceNormalization <axes = [9]> (x) }>
    }"""
    (tmp_path / "m.onnx").write_bytes(onnx.parser.parse_model(text).SerializeToString())
    with pytest.raises(UnsupportedNodes) as caught:
        convert(tmp_path / "m.onnx", tmp_path, to=("tflite",))
    assert {"RandomNormalLike"} <= {node.op for node in caught.value.nodes}
    assert len(caught.value.nodes) > 1
    assert not {"If", "Loop", "Add"} & {node.op for node in caught.value.nodes}


def test_bodies_use_what_lies_channels_last_around_them(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[1,3,6,8] x, int64 m, bool c) => (float[1,4,6,8] y, float[1,4,3,4] z) {
        a = Conv <pads = [1,1,1,1]> (x, k1)
        r = Relu (a)
        s = Loop (m, , r) <body = b (int64 at, bool go, float[1,4,6,8] v) => (bool on, float[1,4,6,8] w) {
            p = Conv <pads = [1,1,1,1]> (v, k2)  w = Add (p, a)  on = Identity (go) }>
        t = If (c) <then_branch = t () => (float[1,4,6,8] q) { q = Mul (s, r) },
                    else_branch = e () => (float[1,4,6,8] q2) { q2 = Softmax <axis = 1> (a) }>
        y = Conv <pads = [1,1,1,1]> (t, k2)
        z = MaxPool <kernel_shape = [2,2], strides = [2,2]> (t)
    }"""
    rng = np.random.default_rng(0)
    k1, k2 = (rng.normal(size=(4, n, 3, 3)).astype("f") / 6 for n in (3, 4))
    x = rng.normal(size=(1, 3, 6, 8)).astype("f")
    feeds = [{"x": x, "m": np.array(m), "c": np.array(c)} for m, c in ((0, True), (2, False), (3, True))]
    check(text, feeds, tmp_path, k1=k1, k2=k2)


@pytest.mark.parametrize("dtype", ["float", "bool", "int64"])
def test_a_branch_that_gives_a_value_twice(dtype: str, tmp_path: Path) -> None:
    kind = {"float": 1, "bool": 9, "int64": 7}[dtype]
    text = f"""
    <ir_version: 8, opset_import: ["" : 16]>
    g (float[n,3] x, bool c) => ({dtype}[n,3] y, {dtype}[n,3] z) {{
        y, z = If (c) <then_branch = t () => ({dtype}[n,3] a, {dtype}[n,3] b) {{
                           m = Mul (x, x) a = Cast <to = {kind}> (m) b = Identity (a) }},
                       else_branch = e () => ({dtype}[n,3] d, {dtype}[n,3] f) {{
                           m = Neg (x) d = Cast <to = {kind}> (m) f = Cast <to = {kind}> (x) }}>
    }}"""
    check(text, [{"x": X, "c": np.array(True)}, {"x": X, "c": np.array(False)}], tmp_path)
