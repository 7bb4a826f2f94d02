"""What a lowering refuses, and what it tells to do about it: that converts, and computes the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from edgeworthy.convert import convert
from edgeworthy.errors import UnsupportedNodes

from ...conformance.adapters import run_tflite
from .against_ort import model_of


@dataclass(frozen=True)
class Case:
    """A graph that is refused, and what becomes of it by the remedy.

    Attributes:
        signature: Inputs and outputs of what is refused.
        remedy: Part of what is said.
        fixed: Inputs and outputs by the remedy.
        feeds: Of both, which ONNX Runtime runs as it was.
        told: Nodes by the remedy; empty where they stay the same.
    """

    signature: str
    nodes: str
    remedy: str
    fixed: str
    feeds: dict[str, Any]
    told: str = ""
    constants: dict[str, Any] | None = None


def _normal(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


X = _normal(1, 2, 8, 9)
W, K = _normal(3, 2, 3, 3), _normal(2, 3, 3, 3)
CASES = {
    "auto_pad": Case(
        "(float[1,2,h,w] x) => (float[1,3,k,l] y)", 'y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w)',
        "a fixed size with --input", "(float[1,2,8,9] x) => (float[1,3,4,5] y)", {"x": X}, constants={"w": W},
    ),
    "output_shape": Case(
        "(float[1,2,h,w] x) => (float[1,3,k,l] y)", "y = ConvTranspose<output_shape=[17,18], strides=[2,2]>(x, w)",
        "a fixed size with --input", "(float[1,2,8,9] x) => (float[1,3,17,18] y)", {"x": X}, constants={"w": K},
    ),
    "equal parts": Case(
        "(float[1,2,h,9] x) => (float[1,2,k,9] y)", "a, b = Split<axis=2, num_outputs=2>(x) y = Sub(a, b)",
        "a fixed size with --input", "(float[1,2,8,9] x) => (float[1,2,4,9] y)", {"x": X},
    ),
    "running product": Case(
        "(float[1,2,8,w] x) => (float[1,2,8,k] y)", "a = Constant<value_int=3>() y = CumProd(x, a)",
        "a static extent with --input", "(float[1,2,8,9] x) => (float[1,2,8,9] y)", {"x": X},
    ),
    "length of a signal": Case(
        "(float[1,l,1] x) => (float[1,f,k,2] y)", "s = Constant<value_int=4>() n = Constant<value_int=8>() "
        "y = STFT<onesided=1>(x, s, , n)", "a fixed length with --input", "(float[1,32,1] x) => (float[1,7,5,2] y)",
        {"x": _normal(1, 32, 1)},
    ),
    "axes that come as many": Case(
        "(float[1,2,8,9] x, int64[n] a) => (float[k,l,m,o] y)", "y = ReduceMax(x, a)", "name the axes",
        "(float[1,2,8,9] x, int64[n] a) => (float[1,2,1,1] y)", {"x": X, "a": np.array([2, 3])},
        told="axes = Constant<value_ints=[2,3]>() y = ReduceMax(x, axes)",
    ),
    "integers": Case(
        "(int32[4,5] x) => (int32[4,1] y)", "a = Constant<value_ints=[1]>() y = ReduceLogSumExp(x, a)",
        "cast its input to float32", "(int32[4,5] x) => (int32[4,1] y)",
        {"x": np.arange(20, dtype=np.int32).reshape(4, 5)},
        told="a = Constant<value_ints=[1]>() f = Cast<to=1>(x) s = ReduceLogSumExp(f, a) y = Cast<to=6>(s)",
    ),
    "backwards": Case(
        "(float[1,2,8,w] x) => (float[1,2,8,k] y)", "s = Constant<value_ints=[-3]>() e = Constant<value_ints=[-99]>() "
        "a = Constant<value_ints=[3]>() t = Constant<value_ints=[-1]>() y = Slice(x, s, e, a, t)",
        "a fixed size with --input", "(float[1,2,8,9] x) => (float[1,2,8,7] y)", {"x": X},
    ),
    "the smallest": Case(
        "(uint8[4,5] x) => (uint8[4,2] y)", "k = Constant<value_ints=[2]>() y, i = TopK<largest=0>(x, k)",
        "cast to float32 first", "(uint8[4,5] x) => (uint8[4,2] y)",
        {"x": np.random.default_rng(0).integers(0, 256, (4, 5)).astype(np.uint8)},
        told="k = Constant<value_ints=[2]>() f = Cast<to=1>(x) v, i = TopK<largest=0>(f, k) y = Cast<to=2>(v)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_told_converts(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    (tmp_path / "refused.onnx").write_bytes(model_of(case.signature, case.nodes, case.constants, opset=26))
    with pytest.raises(UnsupportedNodes) as refused:
        convert(tmp_path / "refused.onnx", tmp_path, to=("tflite",))
    assert case.remedy in " ".join(node.remedy for node in refused.value.nodes)
    model = model_of(case.fixed, case.told or case.nodes, case.constants, opset=26)
    (tmp_path / "told.onnx").write_bytes(model)
    made = convert(tmp_path / "told.onnx", tmp_path, to=("tflite",)).tflite
    assert made is not None
    used = {v.name for v in made.inputs}
    got = run_tflite(made.path, {n: a for n, a in case.feeds.items() if n in used})["y"]
    session = ort.InferenceSession(model_of(case.signature, case.nodes, case.constants, opset=26))
    np.testing.assert_allclose(got, session.run(None, case.feeds)[0], rtol=1e-5, atol=1e-5)
