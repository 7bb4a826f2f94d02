"""Fourier transforms whose axis, frames or window come at run time, against numpy's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ...conformance.adapters import convert_to, run_tflite
from .against_ort import Feeds, assert_agrees, model_of

F32, I64 = np.float32, np.int64


def _normal(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(F32)


@pytest.mark.parametrize("axis", [0, 1, -2])
@pytest.mark.parametrize(
    ("parts", "attributes", "length"), [(1, "onesided=1", None), (2, "inverse=1", 5), (2, "onesided=0", 7)]
)
def test_an_axis_that_is_computed(parts: int, attributes: str, length: int | None, axis: int, tmp_path: Path) -> None:
    model = model_of(
        f"(float[3,6,5,{parts}] x, int64 axis) => (float[a,b,c,2] y)",
        f"y = DFT<{attributes}>(x, {'n' if length else ''}, axis)",
        {"n": np.array(length, I64)} if length else None,
    )
    x = _normal(3, 6, 5, parts)
    got = run_tflite(convert_to("tflite", model, tmp_path), {"x": x, "axis": np.array(axis, I64)})["y"]
    signal = (x[..., 0] + 1j * x[..., 1] if parts == 2 else x[..., 0]).astype(np.complex128)
    at = axis % 4
    want = (np.fft.ifft if "inverse" in attributes else np.fft.fft)(signal, length, at)
    if "onesided=1" in attributes:
        want = np.take(want, range(x.shape[at] // 2 + 1), at)
    np.testing.assert_allclose(got, np.stack([want.real, want.imag], -1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("parts", "attributes", "given"),
    [
        (1, "onesided=1", ("step", "length")),
        (2, "onesided=0", ("step", "length")),
        (1, "onesided=1", ("step", "window")),
        (2, "onesided=0", ("window",)),
        (1, "onesided=1", ("step", "window", "length")),
    ],
)
def test_frames_that_are_computed(parts: int, attributes: str, given: tuple[str, ...], tmp_path: Path) -> None:
    values: Feeds = {"step": np.array(5, I64), "window": np.hanning(12).astype(F32), "length": np.array(12, I64)}
    types = {"step": "int64", "window": "float[12]", "length": "int64"}
    inputs = "".join(f", {types[name]} {name}" for name in given)
    operands = ", ".join(name if name in (*given, "step") else "" for name in ("step", "window", "length"))
    model = model_of(
        f"(float[2,40,{parts}] x{inputs}) => (float[a,b,c,d] y)", f"y = STFT<{attributes}>(x, {operands})",
        {} if "step" in given else {"step": values["step"]},
    )  # fmt: skip
    feed = {"x": _normal(2, 40, parts)} | {name: values[name] for name in given}
    assert_agrees(model, [feed], tmp_path, artifacts=["tflite"], rtol=1e-4, atol=1e-4)


def test_a_mel_scale_that_is_computed(tmp_path: Path) -> None:
    """Whole triangles, triangles narrower than a bin, one bin, and an odd length."""
    model = model_of(
        "(int32 bins, int32 length, int32 rate, float low, float high) => (float[f,n] y)",
        "y = MelWeightMatrix(bins, length, rate, low, high)",
    )
    scales = [(40, 512, 16000, 20, 8000), (20, 16, 16000, 0, 8000), (1, 2, 100, 0, 50), (80, 401, 22050, 50, 10000)]
    types = dict.fromkeys(("bins", "length", "rate"), np.int32) | dict.fromkeys(("low", "high"), F32)
    feeds = [{name: np.array(v, types[name]) for name, v in zip(types, scale, strict=True)} for scale in scales]
    assert_agrees(model, feeds, tmp_path)


@pytest.mark.parametrize(
    ("parts", "attributes", "axis"),
    [(2, "inverse=0", 1), (1, "onesided=1", 1), (2, "inverse=1", 1), (2, "inverse=0", 2), (1, "inverse=0", -4)],
)
def test_a_signal_whose_extents_vary(parts: int, attributes: str, axis: int, tmp_path: Path) -> None:
    """Along an axis that varies, and along one that doesn't, where two others do."""
    text = f"axis = Constant<value_int={axis}>() y = DFT<{attributes}>(x, , axis)"
    made = convert_to("tflite", model_of(f"(float[n,l,6,{parts}] x) => (float[n,k,m,2] y)", text), tmp_path)
    for n, length in ((1, 5), (3, 8), (2, 1), (4, 31)):
        x = np.random.default_rng(length).standard_normal((n, length, 6, parts)).astype(np.float32)
        signal = x[..., 0] + (1j * x[..., 1] if parts == 2 else 0)
        kind = "ifft" if "inverse=1" in attributes else "rfft" if "onesided" in attributes else "fft"
        want = getattr(np.fft, kind)(signal, axis=axis % 4)
        got = run_tflite(made, {"x": x})["y"]
        np.testing.assert_allclose(got, np.stack([want.real, want.imag], -1), rtol=1e-5, atol=2e-5)
