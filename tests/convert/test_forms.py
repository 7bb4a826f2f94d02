"""The table of forms: every rule is asked for, its form is written for its devices alone, and the values are equal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from edgeworthy.convert import build_tflite, convert, prepare
from edgeworthy.convert.forms import STEPS, TENSORFLOW, USUAL, choose, of_saved_models, table
from edgeworthy.errors import InternalFault
from edgeworthy.formats.onnx.file import read_onnx
from edgeworthy.formats.tflite.releases import releases
from edgeworthy.formats.tflite.summary import summarize
from edgeworthy.targets.remote.there.litert import LiteRTModel

from ..conformance.adapters import run_tflite
from .lowering.against_ort import model_of

CONVERT = Path(__file__).parents[2] / "convert"


@dataclass(frozen=True)
class FormCase:
    """A graph in which a form is written: the operators for those devices that have it, and for the others."""

    graph: str
    nodes: str
    x: tuple[int, ...]
    on: Mapping[str, int]
    off: Mapping[str, int]
    constants: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 0.0


def drawn(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


LSTM = {"w": drawn(1, 16, 3), "r": drawn(1, 16, 4)}
CASES = {
    "depthwise_in_pieces": FormCase(
        "float[1,3,9,9] x) => (float[n,c,h,w] y", "y = Conv<group=3, pads=[3,3,3,3]>(x, w)", (1, 3, 9, 9),
        {"DEPTHWISE_CONV_2D": 3}, {"DEPTHWISE_CONV_2D": 1}, {"w": drawn(3, 1, 7, 7)}, 1e-5,
    ),
    "slices_for_split": FormCase(
        "float[2,6] x) => (float[n,c] y",
        "a, b, c, d, e, f = Split<axis=1, num_outputs=6>(x) p = Max(a, f, d) q = Min(b, c, e) y = Sub(p, q)", (2, 6),
        {"SLICE": 6, "SPLIT": 0}, {"SLICE": 0, "SPLIT": 1},
    ),
    "mirror_in_slices": FormCase(
        "float[1,2,8,9] x) => (float[n,c,h,w] y",
        "p = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x) "
        "q = Constant<value_ints=[0,0,2,1,0,0,1,2]>() "
        "y = Pad<mode=\"reflect\">(p, q)", (1, 2, 8, 9),
        {"MIRROR_PAD": 0, "CONCATENATION": 6, "SLICE": 8}, {"MIRROR_PAD": 2, "CONCATENATION": 0, "SLICE": 0},
    ),
    "steps_by_blocks": FormCase(
        "float[2,4,6,3] x) => (float[n,h,w,c] y",
        "b = Constant<value_ints=[1,2]>() e = Constant<value_ints=[9,9]>() a = Constant<value_ints=[1,2]>() "
        "s = Constant<value_ints=[2,3]>() y = Slice(x, b, e, a, s)", (2, 4, 6, 3),
        {"SLICE": 1, "STRIDED_SLICE": 0}, {"SLICE": 0, "STRIDED_SLICE": 1},
    ),
    "one_group_at_once": FormCase(
        "float[2,3,4,5] x) => (float[n,c,h,w] y", "y = GroupNormalization<num_groups=1>(x, s, b)", (2, 3, 4, 5),
        {"MEAN": 2}, {"MEAN": 4}, {"s": drawn(1), "b": drawn(1)}, 1e-5,
    ),
    "negated_by_product": FormCase(
        "float[2,3] x) => (float[n,c] y", "y = Neg(x)", (2, 3), {"MUL": 1, "NEG": 0}, {"MUL": 0, "NEG": 1},
    ),
    "broadcast_by_product": FormCase(
        "float[2,1,5] x) => (float[n,t,c] y", "s = Constant<value_ints=[2,3,1]>() y = Expand(x, s)", (2, 1, 5),
        {"MUL": 1, "BROADCAST_TO": 0}, {"MUL": 0, "BROADCAST_TO": 1},
    ),
    "clamp_by_bounds": FormCase(
        "float[2,6] x) => (float[n,c] y", "t = Tanh(x) y = Clip(t, low, high)", (2, 6),
        {"RELU_0_TO_1": 0, "MAXIMUM": 1, "MINIMUM": 1}, {"RELU_0_TO_1": 1, "MAXIMUM": 0, "MINIMUM": 0},
        {"low": np.float32(0), "high": np.float32(1)}, 1e-6,
    ),
    "log_softmax_in_steps": FormCase(
        "float[n,5,4] x) => (float[n,c,t] y", "a = LogSoftmax<axis=1>(x) y = LogSoftmax(a)", (2, 5, 4),
        {"LOG_SOFTMAX": 0, "REDUCE_MAX": 2, "EXP": 2, "LOG": 2}, {"LOG_SOFTMAX": 2, "EXP": 0}, tolerance=1e-6,
    ),
    "pad_in_rows": FormCase(
        "float[1,2,8,9] x) => (float[n,c,h,w] y",
        "r = Relu(x) y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(r)", (1, 2, 8, 9),
        {"PAD": 1, "RESHAPE": 2, "MAX_POOL_2D": 1}, {"PAD": 1, "RESHAPE": 0, "MAX_POOL_2D": 1},
    ),
    "swap_by_places": FormCase(
        "float[8,9,6] x) => (float[h,w,c] y",
        "a = Constant<value_ints=[8,9,2,3]>() p = Reshape(x, a) q = Transpose<perm=[0,1,3,2]>(p) "
        "b = Constant<value_ints=[8,9,6]>() y = Reshape(q, b)", (8, 9, 6),
        {"TRANSPOSE": 3, "RESHAPE": 4}, {"TRANSPOSE": 1, "RESHAPE": 2},
    ),
    "transposed_by_blocks": FormCase(
        "float[1,3,4,5] x) => (float[n,c,h,w] y", "y = ConvTranspose<strides=[2,2]>(x, w, b)", (1, 3, 4, 5),
        {"DEPTH_TO_SPACE": 1, "TRANSPOSE_CONV": 0}, {"DEPTH_TO_SPACE": 0, "TRANSPOSE_CONV": 1},
        {"w": drawn(3, 4, 2, 2), "b": drawn(4)}, 1e-5,
    ),
    "patches_by_blocks": FormCase(
        "float[1,3,8,12] x) => (float[n,c,h,w] y", "y = Conv<strides=[4,4]>(x, w, b)", (1, 3, 8, 12),
        {"SPACE_TO_DEPTH": 1, "CONV_2D": 1}, {"SPACE_TO_DEPTH": 0, "CONV_2D": 1},
        {"w": drawn(5, 3, 4, 4), "b": drawn(5)}, 1e-5,
    ),
    "multiplied_apart": FormCase(
        "float[2,3,5,6] x) => (float[n,c,h,w] y", "y = Conv<group=3, strides=[2,1], pads=[1,0,1,2]>(x, w, b)",
        (2, 3, 5, 6),
        {"DEPTHWISE_CONV_2D": 2, "CONCATENATION": 1}, {"CONCATENATION": 0},
        {"w": drawn(6, 1, 3, 3), "b": drawn(6)}, 1e-5,
    ),
    "multiplied_as_grouped": FormCase(
        "float[1,3,5,6] x) => (float[n,c,h,w] y", "y = Conv<group=3, strides=[2,1], pads=[1,0,1,2]>(x, w, b)",
        (1, 3, 5, 6),
        {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 0}, {"CONV_2D": 0},
        {"w": drawn(6, 1, 3, 3), "b": drawn(6)}, 1e-5,
    ),
    STEPS: FormCase(
        "float[70,1,3] x) => (float[t,d,n,h] y", "y, z = LSTM<hidden_size=4>(x, w, r)", (70, 1, 3),
        {"WHILE": 0}, {"WHILE": 1}, LSTM, 1e-5,
    ),
}  # fmt: skip
"""Form → a graph of it. Of the steps of recurrent layers it has more than CPUs get written out."""

DEVICES = [name for name in table().devices if name != TENSORFLOW]


def on(form: str, device: str) -> bool:
    """Whether the case's own form is the device's, which for steps is that of the rule without bounds."""
    return any(device in r.on for r in table().rules if r.form == form and (form != STEPS or not r.numbers))


def test_forms_of_a_saved_model_alone_are_those_for_tensorflow(tmp_path: Path) -> None:
    case, source = CASES["depthwise_in_pieces"], tmp_path / "m.onnx"
    source.write_bytes(model_of(f"({case.graph})", case.nodes, case.constants))
    made = convert(source, tmp_path, to=["saved_model"], targets=["x86"])
    assert made.devices == ("tensorflow",)
    (conv,) = (form for form in made.forms if "Conv" in form.op)
    assert {op: conv.operators.get(op) for op in case.off} == case.off


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("form", CASES)
def test_the_file_has_the_forms_of_the_device(form: str, device: str, tmp_path: Path) -> None:
    case, source = CASES[form], tmp_path / "m.onnx"
    source.write_bytes(model_of(f"({case.graph})", case.nodes, case.constants))
    made = convert(source, tmp_path, to=["tflite"], targets=[device])
    assert made.tflite is not None
    assert made.devices == (device,)
    counts, wanted = summarize(made.tflite.path).op_counts, case.on if on(form, device) else case.off
    assert {op: counts.get(op, 0) for op in wanted} == wanted
    x = drawn(*case.x)
    x.flat[:2] = 0, -0.0
    (truth,) = ort.InferenceSession(source).run(["y"], {"x": x})
    np.testing.assert_allclose(run_tflite(made.tflite.path, {"x": x})["y"], truth, rtol=0, atol=case.tolerance)


@pytest.mark.parametrize("form", CASES)
def test_the_other_form_has_the_same_values(form: str, tmp_path: Path) -> None:
    """Also of a form that all have whom ``--for`` names."""
    case, usual = CASES[form], choose()
    source, path = model_of(f"({case.graph})", case.nodes, case.constants), tmp_path / "m.tflite"
    (tmp_path / "m.onnx").write_bytes(source)
    forms = choose(unroll=True) if form == STEPS else usual.toggled(form)
    build_tflite(prepare(read_onnx(tmp_path / "m.onnx"), forms=forms).model, path, forms=forms)
    counts, wanted = summarize(path).op_counts, case.on if forms.takes(form) else case.off
    assert {op: counts.get(op, 0) for op in wanted} == wanted
    x = drawn(*case.x)
    (truth,) = ort.InferenceSession(source).run(["y"], {"x": x})
    np.testing.assert_allclose(run_tflite(path, {"x": x})["y"], truth, rtol=0, atol=case.tolerance)


def test_every_form_has_a_case_and_is_asked_for() -> None:
    asked = {
        name
        for path in CONVERT.rglob("*.py")
        for name in re.findall(r'\.(?:takes|numbers)\("(\w+)"\)', path.read_text(encoding="utf-8"))
    }
    assert asked | {STEPS} == table().forms == {*CASES}


def test_every_rule_says_why_for_every_device() -> None:
    for form in table().forms:
        rules = [rule for rule in table().rules if rule.form == form]
        said = [device for rule in rules for device in (*rule.on, *rule.off)]
        assert sorted(said) == sorted(table().devices), form
        for rule in rules:
            for device, ground in rule.on.items():
                measured = ground.basis == "measured"
                assert measured == bool(ground.gain) == bool(ground.runtime), f"{form} on {device}"
                assert device == "x86" or not measured, "no other device was ever measured here"


def test_what_nobody_said_is_what_both_cpus_have() -> None:
    assert choose() == choose(["x86", "arm"]) == replace(choose(["litert-1.3"]), runtime="")
    assert choose().devices == USUAL
    assert not choose(["gpu", "x86"]).takes("depthwise_in_pieces"), "a GPU doesn't want it"
    assert choose(["npu", "x86"]).numbers(STEPS) == choose().numbers(STEPS), "the narrower bound"
    assert choose(unroll=True).numbers(STEPS) == of_saved_models(unroll=True).numbers(STEPS) == {}
    assert of_saved_models().devices == (TENSORFLOW,)


def test_a_form_that_an_older_runtime_is_slower_with_isnt_taken_for_it() -> None:
    form, usual = "log_softmax_in_steps", choose()
    assert [choose([name]).takes(form) for name in ("tflite-2.14", "litert-1.2", "litert-1.3")] == [False, False, True]
    old = choose(["tflite-2.14", "litert-2.3"])
    assert {*usual.taken} - {*old.taken} == {form, "swap_by_places"}, "the oldest counts, and no other form asks"
    assert all(rule.since in ("", *releases()) for rule in table().rules)


@pytest.mark.parametrize("shape", [(7,), (4, 1), (4, 9), (2, 3, 4, 5), (2, 3, 1, 4, 5), (2, 1, 3, 2, 2, 5)])
def test_log_softmax_in_steps_of_any_rank_and_value(shape: tuple[int, ...], tmp_path: Path) -> None:
    """As TFLite's own kernel: -inf stays it, a row of nothing else has no numbers, and 1e4 doesn't overflow."""
    names = ",".join(["n", *map(str, shape[1:])])
    source, results = tmp_path / "m.onnx", []
    source.write_bytes(model_of(f"(float[{names}] x) => (float[{names}] y)", "y = LogSoftmax<axis=-1>(x)", {}))
    x = drawn(*shape) * 5
    for place, value in zip((1, shape[-1] + 2, shape[-1] + 3), (-np.inf, 1e4, -1e4), strict=True):
        if place < x.size and shape[-1] > 1:
            x.flat[place] = value
    if len(shape) > 1:
        x.reshape(-1, shape[-1])[-1] = -np.inf
    for forms in (choose(), choose().toggled("log_softmax_in_steps")):
        path = tmp_path / "m.tflite"
        build_tflite(prepare(read_onnx(source), forms=forms).model, path, forms=forms)
        results.append(run_tflite(path, {"x": x})["y"])
        assert summarize(path).op_counts.get("LOG_SOFTMAX", 0) == (not forms.takes("log_softmax_in_steps"))
        receipt = LiteRTModel(str(path), 1).receipt()
        assert not forms.takes("log_softmax_in_steps") or (receipt["partitions"], receipt["fallback"]) == (1, [])
    in_steps, plain = results
    np.testing.assert_allclose(in_steps, plain, rtol=1e-6, atol=1e-6)


def test_the_oldest_runtime_says_how_many_axes() -> None:
    """As ``formats/tflite/limits.toml`` has it; of several runtimes the oldest counts."""
    old, new = choose(["litert-1.0", "tflite-2.14", "x86"]), choose(["litert-2.0"])
    assert (old.runtime, new.runtime) == ("TFLite 2.14", "LiteRT 2.0")
    ops = ("mul", "less", "maximum", "sub", "slice", "add")
    assert [old.most_axes(op) for op in ops] == [4, 4, 5, 5, 5, 8]
    assert [new.most_axes(op) for op in ops] == [8, 4, 5, 8, 5, 8]
    assert {choose().most_axes(op) for op in ops} == {8}


@pytest.mark.parametrize(("target", "device"), [
    ("android-gpu", "gpu"), ("ethos-u:55-128", "npu"), ("ethos-u85", "npu"), ("edgetpu", "npu"), ("nnapi", "npu"),
    ("arm64", "arm"), ("x86", "x86"),
])  # fmt: skip
def test_a_target_is_a_device(target: str, device: str) -> None:
    assert choose([target]).devices == (device,)


def test_a_form_can_be_turned_on_and_off() -> None:
    forms = choose()
    for form in table().forms:
        other = forms.toggled(form)
        assert other.takes(form) != forms.takes(form)
        assert other.toggled(form).takes(form) == forms.takes(form)


def test_what_isnt_in_the_table_is_a_fault() -> None:
    with pytest.raises(InternalFault, match="depthwise_in_peaces"):
        choose().takes("depthwise_in_peaces")
