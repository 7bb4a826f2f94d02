"""Integers against numpy's, at their ends: 64 bits, which TFLite's kernels lack, and shifts by any number of bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .both import both, model_of

EDGES = [0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 255, 256, 1000, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1,
         0xAAAA_AAAA_AAAA_AAAA, 2**62, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1]  # fmt: skip


def pairs(dtype: str, count: int) -> tuple[Any, Any]:
    """[2·count²…] every edge with every other, and numbers of any size."""
    edges = np.array(EDGES, np.uint64).astype(dtype)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 2**64, (2, count), np.uint64) >> rng.integers(0, 64, (2, count), np.uint64)
    grid = np.repeat(edges, edges.size), np.tile(edges, edges.size)
    x, y = (np.concatenate([a, b.astype(dtype)]) for a, b in zip(grid, drawn, strict=True))
    return x, y


def shifted(x: Any, y: Any, direction: str) -> Any:
    """ONNX BitShift-28 in numbers of any size."""
    kind, width = np.iinfo(x.dtype), np.iinfo(x.dtype).bits
    result = []
    for a, n in zip(x.tolist(), y.tolist(), strict=True):
        outside = not 0 <= n < width
        value = (-1 if a < 0 else 0) if outside else a >> n
        if direction == "LEFT":
            value = 0 if outside else (a << n) % 2**width
            value = value - 2**width if value > kind.max else value
        result.append(value)
    return np.array(result, x.dtype)


@pytest.mark.parametrize("dtype", ["uint64", "int64"])
def test_numbers_of_64_bits(dtype: str, tmp_path: Path) -> None:
    x, y = pairs(dtype, 400)
    divisor = np.where(y == 0, np.array(7, dtype), y)
    want = {
        "add": x + y, "sub": x - y, "mul": x * y, "larger": np.maximum(x, y), "smaller": np.minimum(x, y),
        "both": x & y, "any": x | y, "other": x ^ y, "none": ~x, "equal": x == y, "less": x < y, "at_most": x <= y,
        "more": x > y, "int": x.astype(np.int32), "float": x.astype(np.float32), "true": x != 0,
        "chosen": np.where(x < y, x, y), "right": shifted(x, y, "RIGHT"), "left": shifted(x, y, "LEFT"),
    }  # fmt: skip
    extra = ""
    if dtype == "uint64":
        want |= {"rest": x % divisor, "whole": x // divisor}
        extra = "rest = Mod(x, d) whole = Div(x, d)"
    outputs = ", ".join(f"{v.dtype.name.replace('float32', 'float')}[n] {k}" for k, v in want.items())
    nodes = f"""
        add = Add(x, y) sub = Sub(x, y) mul = Mul(x, y) larger = Max(x, y) smaller = Min(x, y) both = BitwiseAnd(x, y)
        any = BitwiseOr(x, y) other = BitwiseXor(x, y) none = BitwiseNot(x) equal = Equal(x, y) less = Less(x, y)
        at_most = LessOrEqual(x, y) more = Greater(x, y) int = Cast<to=6>(x) float = Cast<to=1>(x) true = Cast<to=9>(x)
        chosen = Where(less, x, y) right = BitShift<direction="RIGHT">(x, y) left = BitShift<direction="LEFT">(x, y)
        zero = Sub(d, d) used = Add(x, zero) {extra}"""
    model = model_of(f"g ({dtype}[n] x, {dtype}[n] y, {dtype}[n] d) => ({outputs}, {dtype}[n] used) {{ {nodes} }}")
    some = slice(5, 50)
    feeds = [{"x": x, "y": y, "d": divisor}, {"x": x[some], "y": y[some], "d": divisor[some]}]
    for i, (artifact, got) in enumerate(both(model, feeds, tmp_path)):
        for name, values in want.items():
            expected = values[some] if i % 2 else values
            assert got[name].dtype == expected.dtype, (artifact, name)
            if name == "float":
                np.testing.assert_allclose(got[name], expected, rtol=1.2e-7)
            else:
                wrong = np.flatnonzero(got[name] != expected)
                assert not wrong.size, (artifact, name, x[wrong[0]], y[wrong[0]], got[name][wrong[0]])


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_shifts_of_every_type(direction: str, tmp_path: Path) -> None:
    dtypes = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
    x = {d: np.resize(np.array(EDGES, np.uint64), 70).astype(d) for d in dtypes}
    count = {d: (np.arange(-3, 67) if d.startswith("i") else np.arange(70)).astype(d) for d in dtypes}
    inputs = ", ".join(f"{d}[n] x_{d}, {d}[n] n_{d}" for d in dtypes)
    outputs = ", ".join(f"{d}[n] y_{d}, {d}[n] z_{d}" for d in dtypes)
    fixed = " ".join(f"c_{d} = Constant<value = {d} {{5}}>() z_{d} = BitShift<direction='{direction}'>(x_{d}, c_{d})"
                     for d in dtypes).replace("'", '"')  # fmt: skip
    nodes = " ".join(f'y_{d} = BitShift<direction="{direction}">(x_{d}, n_{d})' for d in dtypes)
    model = model_of(f"g ({inputs}) => ({outputs}) {{ {fixed} {nodes} }}")
    feeds = {f"x_{d}": x[d] for d in dtypes} | {f"n_{d}": count[d] for d in dtypes}
    for artifact, got in both(model, [feeds], tmp_path):
        for d in dtypes:
            assert np.array_equal(got[f"y_{d}"], shifted(x[d], count[d], direction)), (artifact, d)
            assert np.array_equal(got[f"z_{d}"], shifted(x[d], np.full(70, 5), direction)), (artifact, d)


def test_bits_as_another_type(tmp_path: Path) -> None:
    """A scalar, a matrix; numbers that are no numbers keep their bits."""
    x = np.array([[0.0, -0.0, 1.5], [np.inf, np.nan, -3e38]], np.float32)
    model = model_of("g (float[n,3] x, uint64 s) => (int32[n,3] y, int64 z, uint32[n,3] w)"
                     " { y = BitCast<to=6>(x) z = BitCast<to=7>(s) w = BitCast<to=12>(y) }")  # fmt: skip
    s = np.array(2**63 + 5, np.uint64)
    for artifact, got in both(model, [{"x": x, "s": s}], tmp_path):
        assert np.array_equal(got["y"], x.view(np.int32)), artifact
        assert np.array_equal(got["w"], x.view(np.uint32)), artifact
        assert got["z"] == s.view(np.int64), artifact


def test_floats_as_unsigned_integers_of_64_bits(tmp_path: Path) -> None:
    x = np.array([0, 0.99, 1.5, 2**53, 2.0**63 - 2**40, 2.0**63, 1.5 * 2.0**63, 2.0**64 - 2**41], np.float32)
    model = model_of("g (float[n] x) => (uint64[n] y) { y = Cast<to=13>(x) }")
    for artifact, got in both(model, [{"x": x}], tmp_path):
        assert got["y"].tolist() == [int(v) for v in x], artifact


@pytest.mark.parametrize("fmod", [0, 1])
def test_remainders_of_floats(fmod: int, tmp_path: Path) -> None:
    values = np.array([0, 1, -1, 2.5, -2.5, 7, -7, 1e-3, 3e8, np.inf, -np.inf, np.nan], np.float32)
    x, y = np.repeat(values, values.size), np.tile(values, values.size)
    model = model_of(f"g (float[n] x, float[n] y) => (float[n] z) {{ z = Mod<fmod={fmod}>(x, y) }}")
    with np.errstate(invalid="ignore"):
        want = np.fmod(x, y) if fmod else np.mod(x, y)
    for artifact, got in both(model, [{"x": x, "y": y}], tmp_path):
        wrong = ~((got["z"] == want) | (np.isnan(want) & np.isnan(got["z"])))
        assert not wrong.any(), (artifact, x[wrong], y[wrong], got["z"][wrong], want[wrong])
