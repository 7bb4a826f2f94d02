"""Slices and pads whose bounds, axes and steps come at run time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ...conformance.adapters import run_tflite
from .against_ort import assert_agrees, model_of

I64 = np.int64
X = np.arange(4 * 6 * 5, dtype=np.float32).reshape(4, 6, 5)
FAR = np.iinfo(I64)


def _i64(*values: int) -> Any:
    return np.array(values, I64)


SLICES: list[dict[str, Any]] = [
    {"s": _i64(1, 0), "e": _i64(3, 5), "a": _i64(0, 2), "t": _i64(1, 2)},
    {"s": _i64(-3, 1), "e": _i64(FAR.max, -1), "a": _i64(-2, 0), "t": _i64(1, 1)},
    {"s": _i64(-1, 3), "e": _i64(FAR.min, 0), "a": _i64(1, 0), "t": _i64(-2, -1)},
    {"s": _i64(50, 4), "e": _i64(-60, 1), "a": _i64(2, 1), "t": _i64(-1, -3)},
]


@pytest.mark.parametrize("computed", ["seat", "sea", "set", "t", "a"])
def test_slices(computed: str, tmp_path: Path) -> None:
    """What isn't computed is constant."""
    for number, row in enumerate(SLICES):
        inputs = "".join(f", int64[2] {name}" for name in computed)
        model = model_of(
            f"(float[4,6,5] x{inputs}) => (float[a,b,c] y)", "y = Slice(x, s, e, a, t)",
            {name: array for name, array in row.items() if name not in computed},
        )  # fmt: skip
        folder = tmp_path / str(number)
        folder.mkdir()
        feed = {"x": X} | {name: row[name] for name in computed}
        assert_agrees(model, [feed], folder, artifacts=["tflite"] if number else ["tflite", "saved_model"])


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
@pytest.mark.parametrize("computed", ["p", "a", "pa"])
def test_pads(mode: str, computed: str, tmp_path: Path) -> None:
    row = {"p": _i64(2, 1, 0, 3), "a": _i64(-1, 0)}
    inputs = "".join(f", int64[{row[name].size}] {name}" for name in computed)
    value = "float v" if mode == "constant" else ""
    model = model_of(
        f"(float[4,6,5] x{inputs}{', ' + value if value else ''}) => (float[i,j,k] y)",
        f'y = Pad<mode="{mode}">(x, p, {"v" if value else ""}, a)',
        {name: array for name, array in row.items() if name not in computed},
    )
    feed = {"x": X} | {name: row[name] for name in computed} | ({"v": np.array(7, np.float32)} if value else {})
    assert_agrees(model, [feed], tmp_path, artifacts=["tflite"])


@pytest.mark.parametrize(("shape", "index"), [
    ((6,), np.s_[::2]), ((2, 6, 8, 3), np.s_[:, 1::2, 1::4]), ((2, 6, 8, 3), np.s_[1:, ::3, 2:7]),
    ((4, 6), np.s_[1:4, 2::3]), ((4, 6), np.s_[2::2, 4::2]), ((4, 7), np.s_[:, ::2]), ((8, 6), np.s_[1:6:2]),
    ((2, 2, 2, 2, 2, 4), np.s_[..., ::2]), ((2, 4, 2, 4, 2, 4), np.s_[:, ::2, :, ::2, :, ::2]), ((9, 3), np.s_[8::9]),
])  # fmt: skip
def test_slices_with_steps(shape: tuple[int, ...], index: Any, tmp_path: Path) -> None:
    """In blocks or not, from any place, to any end, and of as many axes as there can be."""
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    full = index if isinstance(index, tuple) else (index,)
    if Ellipsis in full:
        full = (slice(None),) * (len(shape) - len(full) + 1) + full[1:]
    bounds = [slice(*part.indices(extent)) for part, extent in zip(full, shape, strict=False)]
    constants = {
        name: np.array([getattr(part, name) for part in bounds], np.int64) for name in ("start", "stop", "step")
    }
    constants["axes"] = np.arange(len(bounds), dtype=np.int64)
    signature = f"(float[{','.join(map(str, shape))}] x) => (float[{','.join('abcdef'[: len(shape)])}] y)"
    model = model_of(signature, "y = Slice(x, start, stop, axes, step)", constants)
    made = assert_agrees(model, [{"x": x}], tmp_path, artifacts=["tflite"], rtol=0, atol=0)["tflite"]
    np.testing.assert_array_equal(run_tflite(made, {"x": x})["y"], x[index])


def test_splits_of_sizes_that_come_at_run_time(tmp_path: Path) -> None:
    """As of a class token and pixels, and of sizes that are all computed; a part may be empty."""
    model = model_of(
        "(float[n,l,3] x, float[t] p, float[m,k] z, int64[3] s) => (float[n,1,3] c, float[n,r,3] q, float[k] a, "
        "float[k] b, float[k] g)",
        "one = Constant<value_ints=[1]>() zero = Constant<value_ints=[0]>() most = Shape(p) "
        "sizes = Concat<axis=0>(one, most) c, q = Split<axis=1>(x, sizes) d, e, f = Split<axis=-2>(z, s) "
        "a = ReduceSum<keepdims=0>(d, zero) b = ReduceSum<keepdims=0>(e, zero) g = ReduceSum<keepdims=0>(f, zero)",
    )
    feeds = []
    for n, extent, m, sizes in ((1, 5, 6, (1, 2, 3)), (2, 8, 7, (3, 0, 4)), (3, 2, 1, (0, 0, 1))):
        x, z = (np.arange(np.prod(s), dtype=np.float32).reshape(s) for s in ((n, extent, 3), (m, 4)))
        feeds.append({"x": x, "p": np.zeros(extent - 1, np.float32), "z": z, "s": _i64(*sizes)})
    assert_agrees(model, feeds, tmp_path)
