"""Sorting, products and writes that TFLite has no op for, on both artifacts, against numpy and ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from .both import both, model_of


def uniques(x: Any, axis: int | None, is_sorted: bool) -> tuple[Any, ...]:
    """numpy.unique, and in the order of the first of each."""
    values, first, inverse, counts = np.unique(x, True, True, True, axis=axis)
    order = np.arange(first.size) if is_sorted else np.argsort(first)
    return np.take(values, order, axis or 0), first[order], np.argsort(order)[inverse.reshape(-1)], counts[order]


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize(("axis", "dtype"), [(None, "float"), (None, "uint64"), (1, "int8")])
def test_unique(axis: int | None, dtype: str, is_sorted: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kind = {"float": np.float32}.get(dtype, dtype)
    drawn = [rng.integers(-2, 3, shape) for shape in ((3, 12, 2), (3, 7, 2), (3, 1, 2))]
    feeds = [{"x": d.astype(kind)} for d in drawn]
    along = "" if axis is None else f", axis={axis}"
    shape = "[u]" if axis is None else "[3,u,2]"
    model = model_of(f"g ({dtype}[3,n,2] x) => ({dtype}{shape} y, int64[u] first, int64[m] inverse, int64[u] count)"
                     f" {{ y, first, inverse, count = Unique<sorted={int(is_sorted)}{along}>(x) }}")  # fmt: skip
    for i, (artifact, got) in enumerate(both(model, feeds, tmp_path)):
        want = uniques(feeds[i % 3]["x"], axis, is_sorted)
        for name, expected in zip(("y", "first", "inverse", "count"), want, strict=True):
            assert got[name].tolist() == expected.tolist(), (artifact, name)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_determinants(size: int, tmp_path: Path) -> None:
    """Of random matrices, of such as have zeros where the pivots would be, and of none that has an inverse."""
    rng = np.random.default_rng(size)
    x = rng.standard_normal((2, 6, size, size)).astype(np.float32)
    x[0, 0] = np.eye(size)[::-1]
    x[0, 1] = np.roll(np.eye(size), 1, 0) * 3
    x[0, 2, :, 0] = 0
    x[0, 3, -1] = x[0, 3, 0]
    x[0, 4] = 0
    model = model_of(f"g (float[n,6,{size},{size}] x) => (float[n,6] y) {{ y = Det(x) }}")
    for artifact, got in both(model, [{"x": x}, {"x": x[:1]}], tmp_path):
        want = np.linalg.det(x.astype(np.float64))[: len(got["y"])]
        np.testing.assert_allclose(got["y"], want, rtol=1e-4, atol=1e-5, err_msg=artifact)


def test_running_products(tmp_path: Path) -> None:
    x = np.array([[2, 0.5, -1, 3, 0.25], [0, 7, 1, 2, 3], [1, -1, 4, 5, np.inf]], np.float32)
    flags = [(e, r) for e in (0, 1) for r in (0, 1)]
    nodes = " ".join(f"y{e}{r} = CumProd<exclusive={e}, reverse={r}>(x, a)" for e, r in flags)
    outputs = ", ".join(f"float[n,5] y{e}{r}" for e, r in flags)
    model = model_of(f"g (float[n,5] x) => ({outputs}) <int64 a = {{-1}}> {{ {nodes} }}")
    for artifact, got in both(model, [{"x": x}], tmp_path):
        for e, r in flags:
            y = x[:, ::-1] if r else x
            y = np.concatenate([np.ones((3, 1), np.float32), y[:, :-1]], 1) if e else y
            with np.errstate(invalid="ignore"):
                want = np.cumprod(y, 1)[:, :: -1 if r else 1]
            np.testing.assert_allclose(got[f"y{e}{r}"], want, err_msg=f"{artifact} {e} {r}")


@pytest.mark.parametrize(("mode", "length", "is_indexed"), [
    ("linear", 1, True), ("linear", 3, True), ("linear", 3, False), ("circular", 1, True), ("circular", 3, True),
])  # fmt: skip
def test_writes_into_a_cache(mode: str, length: int, is_indexed: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    start = [0, 2, 3, 1] if mode == "linear" else [5, 4, 0, 3]
    past, update = (rng.standard_normal((4, 2, s, 3)).astype(np.float32) for s in (6, length))
    want = past.copy()
    for batch, at in enumerate(start if is_indexed else [0] * 4):
        for i in range(length):
            want[batch, :, (at + i) % 6 if mode == "circular" else at + i] = update[batch, :, i]
    given, operand = (", int64[n] i", ", i") if is_indexed else ("", "")
    model = model_of(f"g (float[n,2,6,3] p, float[n,2,{length},3] u{given}) => (float[n,2,6,3] y)"
                     f' {{ y = TensorScatter<mode="{mode}">(p, u{operand}) }}')  # fmt: skip
    feeds = {"p": past, "u": update} | ({"i": np.array(start)} if is_indexed else {})
    few = {k: v[:2] for k, v in feeds.items()}
    for artifact, got in both(model, [feeds, few], tmp_path):
        assert np.array_equal(got["y"], want[: len(got["y"])]), artifact


def test_scales_of_blocks_and_the_rest_of_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((2, 7, 3)) * 4).astype(np.float32)
    scale, zero = rng.uniform(0.05, 0.2, (2, 3, 3)).astype(np.float32), rng.integers(0, 200, (2, 3, 3)).astype(np.uint8)
    model = model_of("g (float[2,7,3] x, float[2,3,3] s, uint8[2,3,3] z) => (uint8[2,7,3] q, float[2,7,3] y)"
                     " { q = QuantizeLinear<axis=1, block_size=3>(x, s, z)"
                     " y = DequantizeLinear<axis=1, block_size=3>(q, s, z) }")  # fmt: skip
    wide, shift = (np.repeat(a, 3, 1)[:, :7] for a in (scale, zero))
    want = np.clip(np.rint(x / wide) + shift, 0, 255)
    for artifact, got in both(model, [{"x": x, "s": scale, "z": zero}], tmp_path):
        assert np.array_equal(got["q"], want), artifact
        np.testing.assert_allclose(got["y"], (want - shift) * wide, rtol=1e-6, atol=1e-6, err_msg=artifact)


def test_products_of_integers_with_zero_points_of_rows_columns_and_channels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = model_of(
        "g (uint8[n,4,5] a, int8[5,3] b, uint8[1,2,6,6] x, uint8[3,2,2,2] w) => (int32[n,4,3] p, int32[1,3,7,7] q)"
        " <int8[3] zb = {-3, 0, 100}, uint8[3] zw = {1, 128, 250}, uint8 za = {7}> {"
        " p = MatMulInteger(a, b, za, zb) q = ConvInteger<pads=[1,1,1,1]>(x, w, za, zw) }", 21)  # fmt: skip
    feeds = {
        "a": rng.integers(0, 256, (2, 4, 5), np.uint8), "b": rng.integers(-128, 128, (5, 3), np.int8),
        "x": rng.integers(0, 256, (1, 2, 6, 6), np.uint8), "w": rng.integers(0, 256, (3, 2, 2, 2), np.uint8),
    }  # fmt: skip
    p = (feeds["a"].astype(int) - 7) @ (feeds["b"].astype(int) - [-3, 0, 100])
    (q,) = ort.InferenceSession(model_of(
        "g (float[1,2,6,6] x, float[3,2,2,2] w) => (float[1,3,7,7] q) { q = Conv<pads=[1,1,1,1]>(x, w) }", 21,
    ).SerializeToString()).run(None, {
        "x": feeds["x"].astype(np.float32) - 7,
        "w": feeds["w"].astype(np.float32) - np.array([1, 128, 250], np.float32).reshape(3, 1, 1, 1),
    })  # fmt: skip
    for artifact, got in both(model, [feeds], tmp_path):
        assert np.array_equal(got["p"], p), artifact
        assert np.array_equal(got["q"], q), artifact
