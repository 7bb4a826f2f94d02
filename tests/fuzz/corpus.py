"""The right models that are mutated: all of ONNX's node tests, and a few graphs written here.

The graphs written here have what node tests lack: several layers, subgraphs, functions of their own, external data,
quantized layers, dynamic dimensions.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests

from edgeworthy.formats.onnx.node_tests import as_arrays

OPSET = 21

GRAPHS = {
    "cnn": """
        g (float[N,3,8,8] image, float[8] mean, float[8] variance) => (float[N,4] scores)
          <float[8,3,3,3] w, float[8] scale, float[8] bias, float[8,1,3,3] dw, float[8,4] fc, float[4] b,
           int64[2] flat = {0, -1}> {
            c = Conv <pads = [1,1,1,1], strides = [2,2]> (image, w)
            n = BatchNormalization <epsilon = 0.001> (c, scale, bias, mean, variance)
            r = Relu (n)
            d = Conv <group = 8, pads = [1,1,1,1]> (r, dw)
            s = Add (d, r)
            p = GlobalAveragePool (s)
            f = Reshape (p, flat)
            m = Gemm (f, fc, b)
            scores = Softmax <axis = 1> (m)
        }""",
    "encoder": """
        g (float[2,5,8] x) => (float[2,5,8] y)
          <float[8,8] wq, float[8,8] wk, float[8,8] wv, float[8] g, float[8] b, int64[4] heads = {0, 0, 2, 4},
           int64[3] back = {0, 0, 8}, float half = {0.5}> {
            q = MatMul (x, wq)
            k = MatMul (x, wk)
            v = MatMul (x, wv)
            q4 = Reshape (q, heads)
            k4 = Reshape (k, heads)
            v4 = Reshape (v, heads)
            qt = Transpose <perm = [0,2,1,3]> (q4)
            kt = Transpose <perm = [0,2,3,1]> (k4)
            vt = Transpose <perm = [0,2,1,3]> (v4)
            s = MatMul (qt, kt)
            h = Mul (s, half)
            a = Softmax <axis = -1> (h)
            o = MatMul (a, vt)
            ot = Transpose <perm = [0,2,1,3]> (o)
            o3 = Reshape (ot, back)
            z = Add (o3, x)
            y = LayerNormalization <axis = -1> (z, g, b)
        }""",
    "shapes": """
        g (float[A,3,B] x) => (float[D,C] y, int64 n)
          <int64[1] one = {1}, int64[1] minus = {-1}, int64 two = {2}> {
            s = Shape (x)
            b = Gather (s, two)
            z = Sub (one, one)
            u = Unsqueeze (b, z)
            t = Concat <axis = 0> (minus, u)
            r = Reshape (x, t)
            y = Transpose <perm = [1,0]> (r)
            n = Size (y)
        }""",
    "pieces": """
        g (float[2,6,4] x, int64[3] i) => (float[3,4] y, float[2,5,2] p, int64[2,1,4] t)
          <int64[1] a = {1}, int64[1] from = {0}, int64[1] to = {6}, int64[1] by = {2}, int64[6] pads = {0,1,0,0,1,0},
           int64[2] halves = {3,3}, int64[1] first = {0}> {
            l, r = Split <axis = 1> (x, halves)
            s = Slice (x, from, to, a, by)
            c = Greater (s, r)
            w = Where (c, s, l)
            o = ReduceSum <keepdims = 0> (w, first)
            y = Gather <axis = 0> (o, i)
            q = Pad (l, pads)
            p = MaxPool <kernel_shape = [3]> (q)
            t = ArgMax <axis = 1> (x)
        }""",
    "branch": """
        g (float[2,3] x, bool c) => (float[2,3] y) {
            y = If (c) <
                then_branch = t () => (float[2,3] a) { a = Relu (x) },
                else_branch = e () => (float[2,3] b) { n = Neg (x)  b = Exp (n) }
            >
        }""",
    "loop": """
        g (float[2,3] x, int64 n, bool c) => (float[2,3] y, float[K,2,3] all) {
            y, all = Loop (n, c, x) <
                body = b (int64 i, bool go, float[2,3] s) => (bool on, float[2,3] r, float[2,3] scanned) {
                    on = Identity (go)
                    r = Add (s, x)
                    scanned = Identity (r)
                }
            >
        }""",
    "quantized": """
        g (float[1,3,6,6] x) => (float[1,4,4,4] y)
          <float sx = {0.05}, uint8 zx = {128}, int8[4,3,3,3] w, float[4] sw = {0.01,0.02,0.03,0.04},
           int8[4] zw = {0,0,0,0},
           int32[4] b = {1,2,3,4}, float[4] sb = {0.0005,0.001,0.0015,0.002}, int32[4] zb = {0,0,0,0}> {
            q = QuantizeLinear (x, sx, zx)
            d = DequantizeLinear (q, sx, zx)
            dw = DequantizeLinear <axis = 0> (w, sw, zw)
            db = DequantizeLinear <axis = 0> (b, sb, zb)
            c = Conv (d, dw, db)
            r = Relu (c)
            qr = QuantizeLinear (r, sx, zx)
            y = DequantizeLinear (qr, sx, zx)
        }""",
    "sequence": """
        g (float[3,4] x) => (float[4] y) <int64 second = {1}> {
            s = SplitToSequence <axis = 0, keepdims = 0> (x)
            y = SequenceAt (s, second)
        }""",
}  # fmt: skip

INPUTS = {"variance": np.linspace(0.5, 2, 8, dtype=np.float32)}
"""What can't be any number."""

FUNCTIONS = """
    <ir_version: 10, opset_import: ["" : 21, "own" : 1]>
    g (float[2,3] x) => (float[2,3] y) {
        h = own.block <alpha = 0.5> (x)
        y = own.twice (h)
    }
    <domain: "own", opset_import: ["" : 21]>
    block <alpha: float = 1.0> (v) => (w) {
        a = Constant <value_float: float = @alpha> ()
        m = Mul (v, a)
        w = Relu (m)
    }
    <domain: "own", opset_import: ["" : 21, "own" : 1]>
    twice (v) => (w) {
        t = own.block (v)
        w = Add (t, v)
    }"""


@dataclass(frozen=True)
class Seed:
    """A right model.

    Attributes:
        name: The node test's name, or that of a graph in this file.
        op: What it is a test of; a case draws this first, so that all operators come alike often.
        model: A serialized ``ModelProto``.
        inputs: Values that suit it, by name; where there are none, any numbers do.
        files: Its external data, by name.
    """

    name: str
    op: str
    model: bytes
    inputs: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


Corpus = dict[str, list[Seed]]
"""What a seed is a test of → the seeds; both in an order that only the installed onnx decides."""


def load_corpus() -> Corpus:
    """All seeds (about 5 s)."""
    corpus: Corpus = {}
    for seed in sorted([*_node_tests(), *_own()], key=lambda seed: seed.name):
        corpus.setdefault(seed.op, []).append(seed)
    return corpus


def save_corpus(corpus: Corpus, path: Path) -> None:
    """Leave the corpus where worker processes find it without making it again."""
    path.write_bytes(pickle.dumps(corpus))


def saved_corpus(path: Path) -> Corpus:
    """What :func:`save_corpus` has left."""
    corpus: Corpus = pickle.loads(path.read_bytes())
    return corpus


def _node_tests() -> Iterator[Seed]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the generators divide by zero on purpose
        tests: list[Any] = load_model_tests(kind="node")
    for test in tests:
        single = len(test.model.graph.node) == 1
        op = test.model.graph.node[0].op_type if single else "function bodies"
        inputs = as_arrays(test.model.graph.input, test.data_sets[0][0])
        yield Seed(test.name, op, test.model.SerializeToString(), inputs)


def _own() -> Iterator[Seed]:
    for name, text in GRAPHS.items():
        yield Seed(name, name, _model(text).SerializeToString(), INPUTS)
    yield Seed("functions", "functions", onnx.parser.parse_model(FUNCTIONS).SerializeToString())
    yield _with_external_data("cnn")


def _model(text: str) -> onnx.ModelProto:
    """The model of a graph's text; constants that are declared without values get small ones."""
    graph = onnx.parser.parse_graph(text)
    for info in graph.value_info:
        kind = info.type.tensor_type
        shape = [dim.dim_value for dim in kind.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        values = np.random.default_rng(len(info.name)).normal(0, 0.5 if dtype.kind == "f" else 40, shape)
        graph.initializer.append(onnx.numpy_helper.from_array(values.astype(dtype), info.name))
    del graph.value_info[:]
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10)


def _with_external_data(name: str) -> Seed:
    model = _model(GRAPHS[name])
    data = b""
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT64:  # ONNX Runtime wants shapes in the model
            continue
        raw = onnx.numpy_helper.to_array(tensor).tobytes()
        stored = onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
        stored.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "weights"), ("offset", len(data)), ("length", len(raw))):
            stored.external_data.add(key=key, value=str(value))
        tensor.CopyFrom(stored)
        data += raw
    name = f"{name}_external"
    return Seed(name, name, model.SerializeToString(), INPUTS, {"weights": data})
