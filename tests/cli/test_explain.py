"""`convert --explain`: the books balance, the reasons are those of the graph, and nobody is told who didn't ask."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx.parser
import pytest

from edgeworthy.formats.tflite.summary import summarize

from .conftest import edgeworthy

NET = """
<ir_version: 10, opset_import: ["" : 18]>
net (float[1,4,12,12] x) => (float[1,8,3] y)
<float[4,1,7,7] w, float[4,4,1,1] v, float[4] s, float[4] b, float[4] m, float[4] d, float[12,8] u>
{
    a = Conv<group=4, pads=[3,3,3,3]>(x, w)
    n = BatchNormalization(a, s, b, m, d)
    c = Conv(n, v)
    p = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(c)
    t = Tanh(p)
    q = ReduceMean<keepdims=0>(t, r)
    g = Gather<axis=2>(q, i)
    h = HardSigmoid<alpha=0.16666667, beta=0.5>(g)
    y = Mul(h, g)
}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A depthwise 7×7 with a batch norm to fold, a max pool of what may be negative, and a gather of neighbours."""
    text = NET.replace("float[12,8] u", "int64[1] r = {3}, int64[3] i = {1, 2, 3}").replace("[1,8,3] y", "[1,4,3] y")
    path, random = tmp_path_factory.mktemp("explain") / "net.onnx", np.random.default_rng(0)
    model = onnx.parser.parse_model(text)
    given = {t.name for t in model.graph.initializer}
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.value_info}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(random.uniform(0.1, 1, shape).astype(np.float32), name)
        for name, shape in shapes.items()
        if name not in given
    )
    del model.graph.value_info[:]
    onnx.save(model, path)
    return path


def test_the_books_balance(model: Path, tmp_path: Path) -> None:
    """What there was, and all that was added and taken away, is what was lowered; and that is in the file."""
    ran = edgeworthy("convert", model, "-o", tmp_path, "--to", "tflite", "--explain", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)["conversion"]
    books = Counter(node.op_type for node in onnx.load(model).graph.node)
    for step in told["passes"]:
        books.update(step["operators"])
    turns = [t["tensor"] for t in told["layout"]["remaining"]]
    books["Transpose"] += len(turns)
    lowered: Counter[str] = Counter()
    written: Counter[str] = Counter()
    for form in told["forms"]:
        lowered[form["op"]] += form["count"]
        written.update({op: n * form["count"] for op, n in form["operators"].items()})
    assert +books == lowered
    assert lowered["HardSwish"] == 1
    assert not {"HardSigmoid", "BatchNormalization"} & {*lowered}
    summary = summarize(tmp_path / "model_float32.tflite")
    assert written == Counter(summary.op_counts)
    names = [summary.graphs[0].tensors[op.outputs[0]].name for op in summary.graphs[0].ops if op.op == "TRANSPOSE"]
    assert len(names) == len(turns) == told["layout"]["transposes"]
    assert {name.removeprefix("serving_default_").removesuffix("_output") for name in names} == set(turns)


def test_it_is_told_why(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # a sentence is one line
    ran = edgeworthy("convert", model, "-o", tmp_path, "--to", "tflite", "--explain")
    assert ran.returncode == 0, ran.stderr
    for words in (
        "HardSigmoid −1",
        "3 DEPTHWISE_CONV_2D + 2 ADD",
        "its kernel has 49 elements, and XNNPACK is fast up to 25",
        "what it pools may be negative",
        "its indices are neighbours, and XNNPACK takes a slice",
        "the input comes in the model's order, and Conv takes it channels-last only",
    ):
        assert words in ran.stdout, words
    again = edgeworthy("convert", model, "-o", tmp_path, "--to", "tflite", "--explain")
    assert again.stdout.partition("9 ONNX nodes")[1:] == ran.stdout.partition("9 ONNX nodes")[1:]
    assert "taken over" in again.stdout
    assert "ONNX nodes" not in edgeworthy("convert", model, "-o", tmp_path, "--to", "tflite").stdout
