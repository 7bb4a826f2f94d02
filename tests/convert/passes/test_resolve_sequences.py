from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ...conformance.adapters import RUNNERS, convert_to

HEAD = '<ir_version: 8, opset_import: ["" : 18]>'
BODIES = [
    # As torch.split, unbind and stack were exported.
    ("float[n,5] x", "s = SplitToSequence <axis = 1> (x, two) y = SequenceAt (s, minus)", "float[n,1] y"),
    ("float[n,5] x", "s = SplitToSequence <axis = 1> (x, parts) y = SequenceAt (s, one)", "float[n,4] y"),
    ("float[n,5] x", "s = SplitToSequence <axis = -1, keepdims = 0> (x) y = SequenceAt (s, two)", "float[n] y"),
    ("float[n,5] x", "s = SplitToSequence <axis = 1> (x) y = ConcatFromSequence <axis = 0> (s)", "float[m,1] y"),
    ("float[n,5] x", "z = Neg (x) s = SequenceConstruct (x, z) y = ConcatFromSequence <axis = 1, new_axis = 1> (s)",
     "float[n,2,5] y"),
    ("float[n,5] x", "z = Neg (x) e = SequenceEmpty () a = SequenceInsert (e, x) b = SequenceInsert (a, z, zero)"
     " c = SequenceInsert (b, x, minus) d = SequenceErase (c, zero) y = ConcatFromSequence <axis = 0> (d)",
     "float[m,5] y"),
    ("float[n,5] x", "s = SequenceConstruct (x, x, x) l = SequenceLength (s) z = Cast <to = 1> (l) y = Mul (x, z)",
     "float[n,5] y"),
    ("float[n,5] x", "s = SequenceConstruct (x, x) y = SequenceAt (s, one)", "float[n,5] y"),
]  # fmt: skip
WEIGHTS = {
    "zero": np.int64(0),
    "one": np.int64(1),
    "two": np.int64(2),
    "minus": np.int64(-1),
    "parts": np.array([1, 4]),
}


@pytest.mark.parametrize(("inputs", "body", "output"), BODIES, ids=range(len(BODIES)))
def test_what_lives_inside_goes(apply: Any, inputs: str, body: str, output: str) -> None:
    feeds = {"x": np.arange(15, dtype=np.float32).reshape(3, 5)}
    text = f"{HEAD} g ({inputs}) => ({output}) {{ {body} }}"
    result = apply(text, "infer_shapes", "resolve_sequences", weights=WEIGHTS, feeds=feeds)
    assert not [op for op in result.ops if "Sequence" in op]


@pytest.mark.parametrize("sizes", [[1, 4], [5, 0], [2, 3]])
def test_sizes_that_are_computed(apply: Any, sizes: list[int]) -> None:
    body = "s = SplitToSequence <axis = -1> (x, sizes) a = SequenceAt (s, one) b = SequenceAt (s, zero)"
    text = f"{HEAD} g (float[n,5] x, int64[2] sizes) => (float[n,m] a, float[n,k] b) {{ {body} }}"
    feeds = {"x": np.arange(15, dtype=np.float32).reshape(3, 5), "sizes": np.array(sizes)}
    result = apply(text, "infer_shapes", "resolve_sequences", weights=WEIGHTS, feeds=feeds)
    assert result.ops.count("Slice") == 2
    assert not [op for op in result.ops if "Sequence" in op]


@pytest.mark.parametrize(("inputs", "body", "output"), [
    ("seq(float[2]) s", "y = SequenceAt (s, one)", "float[2] y"),
    ("float[2,2] x, int64 i", "s = SplitToSequence (x) y = SequenceAt (s, i)", "float[1,2] y"),
    ("float[n,2] x", "s = SplitToSequence (x) y = SequenceAt (s, one)", "float[1,2] y"),
])  # fmt: skip
def test_what_the_run_time_decides_stays(apply: Any, inputs: str, body: str, output: str) -> None:
    """Nothing is left of what was tried."""
    text = f"{HEAD} g ({inputs}) => ({output}) {{ {body} }}"
    feeds = {"s": [np.zeros(2, np.float32)] * 2} if inputs.startswith("seq") else None
    result = apply(text, "infer_shapes", "resolve_sequences", weights=WEIGHTS, feeds=feeds)
    assert [op for op in result.ops if "Sequence" in op]
    assert not {"Slice", "Gather"} & {*result.ops}


def test_both_artifacts_have_none(tmp_path: Path) -> None:
    body = (
        "s = SplitToSequence <axis = 1> (x, t) a = SequenceAt (s, l) b = SequenceAt (s, z) c = SequenceConstruct (a, b)"
    )
    model = onnx.parser.parse_model(f"""{HEAD} g (float[n,6] x) => (float[n,6] y)
        <int64 t = {{3}}, int64 l = {{-1}}, int64 z = {{0}}> {{ {body} y = ConcatFromSequence <axis = 1> (c) }}""")
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    for artifact, run in RUNNERS.items():
        (tmp_path / artifact).mkdir()
        got = run(convert_to(artifact, model.SerializeToString(), tmp_path / artifact), {"x": x})
        assert np.array_equal(got["y"], np.roll(x, 3, 1))
