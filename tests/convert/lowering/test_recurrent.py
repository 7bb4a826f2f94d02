"""Recurrent layers in a loop: every kind, direction and length, from a fresh state in each inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.convert import convert
from edgeworthy.formats.tflite.summary import summarize

from .against_ort import assert_agrees, model_of

STEPS, BATCH, SIZE = 70, 3, 8
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def layer(op: str, shape: str, attributes: str, *, lengths: bool = False, states: bool = False) -> bytes:
    rng = np.random.default_rng(0)
    directions = 2 if "bidirectional" in attributes else 1
    gates = GATES[op] * SIZE
    constants: dict[str, Any] = {
        "w": rng.standard_normal((directions, gates, 5)) / 2,
        "r": rng.standard_normal((directions, gates, SIZE)) / 4,
        "b": rng.standard_normal((directions, 2 * gates)) / 4,
    }
    if states:
        constants |= {s: rng.standard_normal((directions, BATCH, SIZE)) for s in ("h", "c")[: 1 + (op == "LSTM")]}
    constants = {name: value.astype(np.float32) for name, value in constants.items()}
    given = ", n" if lengths else ', ""' if states else ""
    given += (", h, c" if op == "LSTM" else ", h") if states else ""
    lasts = ", z, q" if op == "LSTM" else ", z"
    outputs = "float[t,d,n,h] y, float[d,n,h] z" + (", float[d,n,h] q" if op == "LSTM" else "")
    inputs = f"float[{shape},5] x" + (f", int32[{BATCH}] n" if lengths else "")
    nodes = f"y{lasts} = {op}<hidden_size={SIZE}{attributes}>(x, w, r, b{given})"
    return model_of(f"({inputs}) => ({outputs})", nodes, constants)


def sequence(length: int, batch: int = BATCH) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(length).standard_normal((length, batch, 5)).astype(np.float32)


@pytest.mark.parametrize(
    ("op", "attributes", "more"),
    [
        ("LSTM", "", {}),
        ("LSTM", ', direction="bidirectional"', {"lengths": True, "states": True}),
        ("GRU", ', direction="reverse", linear_before_reset=1', {"states": True}),
        ("GRU", ', direction="bidirectional"', {"lengths": True}),
        ("RNN", ', direction="reverse"', {"lengths": True}),
    ],
)
def test_a_long_sequence_is_a_loop(op: str, attributes: str, more: dict[str, bool], tmp_path: Path) -> None:
    """Twice with the same values, since a state that is kept would show."""
    feed: dict[str, Any] = {"x": sequence(STEPS)}
    if more.get("lengths"):
        feed["n"] = np.array([STEPS, 1, 31], np.int32)
    made = assert_agrees(layer(op, f"{STEPS},{BATCH}", attributes, **more), [feed, feed], tmp_path)
    counts = summarize(made["tflite"]).op_counts
    assert counts["WHILE"] == (2 if "bidirectional" in attributes else 1)


@pytest.mark.parametrize("op", ["LSTM", "GRU"])
def test_length_and_batch_may_be_dynamic(op: str, tmp_path: Path) -> None:
    feeds = [{"x": sequence(length, batch)} for length, batch in ((7, 3), (1, 1), (65, 2))]
    assert_agrees(layer(op, "t,n", ', direction="bidirectional"'), feeds, tmp_path)


@pytest.mark.parametrize(("steps", "size", "unroll", "loops"), [
    (4, 32, False, 0), (64, 32, False, 0), (65, 32, False, 1), (8, 256, False, 1), (65, 32, True, 0),
])  # fmt: skip
def test_few_steps_of_few_weights_are_written_out(
    steps: int, size: int, unroll: bool, loops: int, tmp_path: Path
) -> None:
    shapes = {"w": (1, 3 * size, 5), "r": (1, 3 * size, size)}
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    nodes = f"y, z = GRU<hidden_size={size}>(x, w, r)"
    (tmp_path / "m.onnx").write_bytes(model_of(f"(float[{steps},1,5] x) => (float[t,d,n,h] y)", nodes, weights))
    made = convert(tmp_path / "m.onnx", tmp_path / "out", to=["tflite"], unroll=unroll)
    assert made.tflite is not None
    assert summarize(made.tflite.path).op_counts.get("WHILE", 0) == loops
