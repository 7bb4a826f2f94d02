"""Weights written behind a graph: read by LiteRT as what they are, in both forms of the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edgeworthy.convert.builders.tensor import Spec
from edgeworthy.convert.builders.tflite import TfliteBuilder
from edgeworthy.errors import InternalFault
from edgeworthy.formats.tflite import edit, weights
from edgeworthy.formats.tflite.releases import least_runtime
from edgeworthy.formats.tflite.summary import summarize
from edgeworthy.numerics.distinct import DistinctArrays

RNG = np.random.default_rng(0)
DENSE = RNG.standard_normal((160, 128)).astype(np.float32)
TABLE = RNG.integers(-9, 9, (400, 160)).astype(np.int32)
X = RNG.standard_normal((3, 128)).astype(np.float32)


def build(path: Path) -> Path:
    """``y = x·DENSEᵀ·DENSE``, rows of an integer table, and weights as an output themselves."""
    b = TfliteBuilder([("x", Spec("float32", (3, 128))), ("unused", Spec("float32", (2,)))])
    hidden = b.fully_connected(b.inputs[0], b.const(DENSE), None)
    y = b.fully_connected(hidden, b.transpose(b.const(DENSE.copy()), [1, 0]), None)
    rows = b.gather(b.const(TABLE), b.int32s([7, 399, 0]), 0)
    turned = b.transpose(b.const(DENSE), [1, 0])
    b.save([("y", y), ("rows", rows), ("turned", turned)], path)
    return path


@pytest.fixture(params=[weights.LARGEST, 1000], ids=["one flatbuffer", "weights behind it"])
def largest(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(weights, "LARGEST", request.param)
    return int(request.param)


def test_the_file_says_which_runtimes_read_it(largest: int, tmp_path: Path) -> None:
    wanted = "TFLite ≥ 2.14 (because of weights behind the flatbuffer)" if largest == 1000 else "TFLite ≥ 2.7"
    assert str(least_runtime(build(tmp_path / "m.tflite"))) == wanted


@pytest.mark.usefixtures("largest")
def test_runtimes_and_readers_find_the_weights(tmp_path: Path) -> None:
    path = build(tmp_path / "m.tflite")
    got = Interpreter(str(path)).get_signature_runner()(x=X, unused=np.zeros(2, np.float32))
    np.testing.assert_allclose(got["y"], X @ DENSE.T @ DENSE, rtol=1e-4, atol=1e-3)
    assert np.array_equal(got["rows"], TABLE[[7, 399, 0]])
    assert np.array_equal(got["turned"], DENSE.T)
    stored = {t.shape: t.nbytes for t in summarize(path).graphs[0].tensors if t.nbytes > 1000}
    assert stored == {(160, 128): 81920, (128, 160): 81920, (400, 160): 256000}
    assert path.stat().st_size < 2 * 81920 + 256000 + 8000
    model = edit.read(path.read_bytes())
    held = {tuple(t.shape): edit.values(model, t) for t in model.subgraphs[0].tensors}
    assert np.array_equal(held[160, 128], DENSE)
    assert np.array_equal(held[400, 160], TABLE)


def test_weights_are_aligned(largest: int, tmp_path: Path) -> None:
    content = build(tmp_path / "m.tflite").read_bytes()
    model = schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    if largest == 1000:
        places = [(b.Offset(), b.Size()) for b in buffers if b.Offset()]
    else:
        places = [(b._tab.Vector(b._tab.Offset(4)), b.DataLength()) for b in buffers if b.DataLength() > 1000]
    assert len(places) == 3
    assert all(start % 16 == 0 for start, _ in places)
    assert {content[start : start + size] for start, size in places} == {
        a.tobytes() for a in (DENSE, DENSE.T.copy(), TABLE)
    }


def test_a_tensor_that_is_not_the_weight_is_a_fault_of_ours(tmp_path: Path) -> None:
    b = TfliteBuilder([("x", Spec("float32", (3, 128)))])
    b.save([("y", b.unary("exp", b.inputs[0]))], tmp_path / "m.tflite")
    contents = DistinctArrays()
    weight = weights.Weight("", 1, contents.index(DENSE))
    with pytest.raises(InternalFault, match="is not the weight"):
        weights.write_with_weights((tmp_path / "m.tflite").read_bytes(), [weight], contents, tmp_path / "n.tflite")
