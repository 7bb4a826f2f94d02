"""Each rule of the lint on a file that violates it, and on one that doesn't."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgeworthy.analysis import Finding
from edgeworthy.artifact import TFLiteModel
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.quantize.analysis.analyze import analyze
from edgeworthy.quantize.analysis.lint import RULES, lint
from edgeworthy.quantize.analysis.pair import FilePair
from edgeworthy.quantize.calibration import load_calibration
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe

from .. import tflite_graph
from ..conftest import normal_feeds
from ..tflite_graph import Graph
from . import planted
from .conftest import Analyzed

Get = Callable[[str], Analyzed]
Edit = Callable[[Any, Any], None]


def op_of(model: Any, kind: str) -> Any:
    return next(op for op in model.subgraphs[0].operators if fb.op_name(model, op) == kind)


def operand(model: Any, kind: str, position: int) -> Any:
    return model.subgraphs[0].tensors[op_of(model, kind).inputs[position]]


def result(model: Any, kind: str) -> Any:
    return model.subgraphs[0].tensors[op_of(model, kind).outputs[0]]


def edited(one: Analyzed, change: Callable[[Any], None]) -> list[Finding]:
    """What the files alone show after ``change`` of the quantized one."""
    model = fb.read(fb.load(one.quantized.path))
    change(model)
    return lint(FilePair(fb.load(one.floating.path), fb.write(model)))


def set_steps(model: Any, tensor: Any, change: Callable[[Any], None]) -> None:
    steps = np.array(fb.values(model, tensor))
    change(steps)
    fb.set_constant(model, tensor, steps)


@pytest.mark.parametrize("name", ["conv_net:int8", "conv_net:dynamic_wi8_afp32", "conv_net:float16", "chain"])
def test_a_sound_file_has_no_findings(name: str, analyzed: Get) -> None:
    one = analyzed(name)
    assert one.found.findings == []
    assert edited(one, lambda model: None) == []


@pytest.mark.parametrize(
    ("scale", "said"), [(0.0, "scale 0"), (1e-40, "scale 1e-40"), (np.inf, "scale inf"), (1e9, "usual in this file")]
)
def test_absurd_scale_of_an_activation(scale: float, said: str, analyzed: Get) -> None:
    def change(model: Any) -> None:
        result(model, "ADD").quantization.scale = np.array([scale], np.float32)

    found = [f for f in edited(analyzed("conv_net:int8"), change) if f.rule == "absurd_scale"]
    assert [(f.severity, f.place.tensor) for f in found] == [("error", "n9_add")]
    assert said in found[0].message


def test_absurd_scale_of_one_channel(analyzed: Get) -> None:
    def change(model: Any) -> None:
        scales = operand(model, "DEPTHWISE_CONV_2D", 1).quantization.scale
        scales = scales * np.where(np.arange(96) == 5, 1e7, 1).astype(np.float32)
        operand(model, "DEPTHWISE_CONV_2D", 1).quantization.scale = scales

    found = [f for f in edited(analyzed("conv_net:int8"), change) if f.rule == "absurd_scale"]
    assert len(found) == 1
    assert "of the other channels" in found[0].message


def test_mixed_ranges_of_boxes_and_scores(analyzed: Get) -> None:
    rules = analyzed("head").rules()
    assert ("mixed_ranges", "n6_concatenation") in rules
    message = next(f.message for f in analyzed("head").found.findings if f.place.op == "CONCATENATION")
    assert "channels 4–15" in message


def test_mixed_ranges_of_weights_with_one_scale(analyzed: Get) -> None:
    def change(model: Any) -> None:
        weights = operand(model, "FULLY_CONNECTED", 1)
        weights.quantization.scale, weights.quantization.zeroPoint = weights.quantization.scale[:1], np.zeros(1, int)
        set_steps(
            model, weights, lambda steps: np.floor_divide(steps, [[1]] * 7 + [[40]] * 3, out=steps, casting="unsafe")
        )

    found = [f for f in edited(analyzed("conv_net:int8"), change) if f.rule == "mixed_ranges"]
    assert [f.place.op for f in found] == ["FULLY_CONNECTED"]
    assert "channels 7–9" in found[0].message


@pytest.mark.parametrize("value", [0, 5])
def test_dead_channels_of_weights(value: int, analyzed: Get) -> None:
    def change(model: Any) -> None:
        set_steps(model, operand(model, "FULLY_CONNECTED", 1), lambda steps: steps[3:5].fill(value))

    found = [f for f in edited(analyzed("conv_net:int8"), change) if f.rule == "dead_channel"]
    assert [(f.severity, f.place.op) for f in found] == [("error", "FULLY_CONNECTED")]
    assert "channels 3–4" in found[0].message


def test_a_channel_that_is_zero_in_the_float_file_too_is_a_note(tmp_path: Path) -> None:
    def zero(model: TFLiteModel) -> TFLiteModel:
        content = fb.read(fb.load(model.path))
        set_steps(content, operand(content, "CONV_2D", 1), lambda values: values[2].fill(0))
        model.path.write_bytes(fb.write(content))
        return model

    model = zero(planted.chain(tmp_path / "m.tflite"))
    file = planted.force(model, tmp_path / "q.tflite", normal_feeds(model, 8))
    assert [(f.rule, f.severity) for f in analyze(model, file).findings] == [("dead_channel", "note")]


@pytest.mark.parametrize("channels", [[2], [*range(14)]])
def test_channels_that_training_switched_off_are_a_note(channels: list[int], tmp_path: Path) -> None:
    """A batch norm with a weight of 1e-15 leaves next to nothing of a channel; of many such, the rest isn't absurd."""
    model = planted.chain(tmp_path / "m.tflite")
    content = fb.read(fb.load(model.path))

    def shrink(values: Any) -> None:
        small = np.logspace(-15, -8, len(channels)).astype(np.float32)
        values[channels] *= small.reshape(-1, *[1] * (values.ndim - 1))

    set_steps(content, operand(content, "CONV_2D", 1), shrink)
    set_steps(content, operand(content, "CONV_2D", 2), shrink)
    model.path.write_bytes(fb.write(content))
    file = planted.force(model, tmp_path / "q.tflite", normal_feeds(model, 8))
    found = analyze(model, file).findings
    assert {(f.rule, f.severity) for f in found} == {("dead_channel", "note")}
    assert "next to zero" in found[0].message


@pytest.mark.parametrize(("factor", "severity"), [(1e-5, "note"), (1e-3, None)])
def test_in_int16_a_channel_of_little_more_than_its_bias_is_no_loss(
    factor: float, severity: str | None, tmp_path: Path
) -> None:
    """Its bias needs a scale in which its weights are zeros; they move the result by less than any step of int8."""
    w = tflite_graph.Weights(0)
    graph = tflite_graph.Graph(x=(1, 8, 8, 8))
    kernel, bias = w(8, 3, 3, 8, fan_in=72), np.zeros(8, np.float32)
    kernel[3] *= factor
    bias[3] = 1
    y = graph.op("conv_2d", [graph.inputs[0], kernel, bias], (1, 8, 8, 8), **tflite_graph.CONV)
    model = graph.save(tmp_path / "m.tflite", y=y)
    np.savez(tmp_path / "c.npz", x=np.concatenate([feed["x"] for feed in normal_feeds(model, 8)]))
    data = load_calibration(tmp_path / "c.npz", model.inputs)
    recipe = Recipe.of("static_wi8_ai16", ranges="min_max")
    file = quantize(model, tmp_path / "q.tflite", recipe, calibration=data).model
    found = analyze(model, file, normal_feeds(model, 4), inputs="").findings
    assert [(f.rule, f.severity) for f in found] == ([("dead_channel", severity)] if severity else [])


def test_an_operator_that_no_longer_moves(analyzed: Get) -> None:
    assert ("dead_channel", "n7_conv_2d2") in analyzed("outlier").rules()


@pytest.mark.parametrize(("factor", "rule"), [(4.0, "saturated"), (1 / 40, "unused_range")])
def test_ranges_that_do_not_fit_the_samples(factor: float, rule: str, analyzed: Get) -> None:
    one = analyzed("chain")
    feeds = [{name: np.float32(factor) * value for name, value in feed.items()} for feed in one.held]
    found = [f for f in analyze(one.floating, one.quantized, feeds).findings if f.rule == rule]
    assert "serving_default_x" in {f.place.tensor for f in found}
    assert rule not in {f.rule for f in one.found.findings}


def test_outlier_weights(analyzed: Get) -> None:
    found = [f for f in analyzed("outlier").found.findings if f.rule == "outlier_weight"]
    assert [f.place.tensor for f in found] == ["n7_conv_2d2"]
    assert found[0].message.startswith("in channels 0–23 of 'n7_conv_2d' at most 1 of 24 weights")


@pytest.mark.parametrize(
    ("steps", "severity"), [(2**31 - 1, "error"), (-(2**31), "error"), (3 * 2**29, "warning"), (50_000, "error")]
)
def test_bias_overflow(steps: int, severity: str, analyzed: Get) -> None:
    def change(model: Any) -> None:
        set_steps(model, operand(model, "CONV_2D", 2), lambda biases: biases[4:5].fill(steps))

    found = [f for f in edited(analyzed("conv_net:int8"), change) if f.rule == "bias_overflow"]
    assert [(f.severity, f.place.tensor) for f in found] == [(severity, "n2_conv_2d2")]


def test_a_bias_in_a_scale_of_its_own(analyzed: Get) -> None:
    def change(model: Any) -> None:
        bias = operand(model, "FULLY_CONNECTED", 2)
        bias.quantization.scale = bias.quantization.scale * 2

    found = {f.rule: f.message for f in edited(analyzed("conv_net:int8"), change)}
    assert "has 2 times the scale" in found["bias_scale"]


def test_a_softmax_in_a_scale_that_its_kernel_does_not_write(analyzed: Get) -> None:
    def change(model: Any) -> None:
        result(model, "SOFTMAX").quantization.scale = np.array([1 / 100], np.float32)

    found = [f for f in edited(analyzed("conv_net:int8"), change) if f.rule == "fixed_scale"]
    assert [(f.severity, f.place.op) for f in found] == [("error", "SOFTMAX")]


@pytest.mark.parametrize(("classes", "lost"), [(10, False), (2000, True)])
def test_shares_of_many_classes_are_less_than_a_step(classes: int, lost: bool, tmp_path: Path) -> None:
    g = Graph(x=(1, classes))
    model = g.save(tmp_path / "m.tflite", y=g.op("softmax", [g.inputs[0]], (1, classes), beta=1.0))
    file = planted.force(model, tmp_path / "q.tflite", normal_feeds(model, 8))
    found = [f for f in analyze(model, file, normal_feeds(model, 4, seed=1)).findings if f.rule == "softmax_sum"]
    assert bool(found) == lost


def _cast(model: Any, kind: str, source: int, dtype: int) -> int:
    """A cast of a tensor behind all operators; the index of its result."""
    graph, op, tensor = model.subgraphs[0], schema.OperatorT(), schema.TensorT()
    op.opcodeIndex = fb.op_code(model, getattr(fb.BuiltinOperator, kind), version=2)
    tensor.name, tensor.type, tensor.shape = f"cast{len(graph.tensors)}".encode(), dtype, graph.tensors[source].shape
    if dtype != fb.TensorType.FLOAT32:
        tensor.quantization = result(model, "ADD").quantization
    graph.tensors.append(tensor)
    op.inputs, op.outputs = [source], [len(graph.tensors) - 1]
    graph.operators.append(op)
    return len(graph.tensors) - 1


@pytest.mark.parametrize(("first", "second"), [("DEQUANTIZE", "QUANTIZE"), ("QUANTIZE", "QUANTIZE")])
def test_ping_pong(first: str, second: str, analyzed: Get) -> None:
    types = {"DEQUANTIZE": fb.TensorType.FLOAT32, "QUANTIZE": fb.TensorType.INT8}

    def change(model: Any) -> None:
        begin = int(op_of(model, "ADD").outputs[0])
        _cast(model, second, _cast(model, first, begin, types[first]), types[second])

    found = [f for f in edited(analyzed("conv_net:int8"), change) if f.rule == "ping_pong"]
    assert len(found) == 1
    assert found[0].message.startswith(f"{first} → {second} of 'n9_add', into the same scale")


def test_float_islands_and_their_share(analyzed: Get, tmp_path: Path) -> None:
    model = analyzed("conv_net:int8").floating
    np.savez(tmp_path / "c.npz", image=np.stack([f["image"] for f in normal_feeds(model, 8)]))
    data = load_calibration(tmp_path / "c.npz", model.inputs)
    made = quantize(
        model, tmp_path / "q.tflite", Recipe.of("int8", exclude=["HARD_SWISH", "MEAN", "n4_conv_2d2"]), calibration=data
    )
    found = [f for f in analyze(model, made.model).findings if f.rule == "silent_float"]
    convolution = 16 * 16 * 96 * 16  # products of the excluded 1×1 convolution, of these in all:
    total = 16 * 16 * 16 * 27 + 2 * convolution + 16 * 16 * 96 * 9 + 64 * 256 * 144 + 2560
    shares = {f.place.tensor: float(f.message.split(": ")[1].split("%")[0]) / 100 for f in found}
    assert {f.place.tensor: f.message.split(":")[0] for f in found} == {
        "n4_conv_2d2": "1 in float (1 CONV_2D)",
        "n11_hard_swish": "2 in float (1 HARD_SWISH, 1 MEAN)",
    }
    assert shares["n4_conv_2d2"] == pytest.approx(convolution / total, abs=0.02)
    assert shares["n11_hard_swish"] < 0.02


def test_what_the_recipe_has_in_float_isnt_silent(analyzed: Get, tmp_path: Path) -> None:
    """A layer with a twelfth of the arithmetic: left by the device on purpose, or by nobody knows whom."""
    model = analyzed("conv_net:int8").floating
    np.savez(tmp_path / "c.npz", image=np.stack([f["image"] for f in normal_feeds(model, 8)]))
    data = load_calibration(tmp_path / "c.npz", model.inputs)
    made = quantize(model, tmp_path / "q.tflite", Recipe.of("int8", exclude=["n4_conv_2d2"]), calibration=data)
    found = {
        known: [f for f in analyze(model, made.model, recipe=recipe).findings if f.rule == "silent_float"]
        for known, recipe in ((True, made.recipe), (False, None))
    }
    assert [(f.severity, f.place.tensor) for f in found[True]] == [("note", "n4_conv_2d2")]
    assert found[True][0].message.endswith("of the arithmetic, on purpose: excluded by 'n4_conv_2d2'")
    assert [f.severity for f in found[False]] == ["warning"]


def test_the_table_says_what_to_do() -> None:
    assert all(rule.means and rule.remedy and rule.checks and rule.id == name for name, rule in RULES.items())


def test_worst_findings_come_first(analyzed: Get) -> None:
    severities = [f.severity for f in analyzed("outlier").found.findings]
    assert severities == sorted(severities, key=("error", "warning", "note").index)
    assert {"error", "warning"} == set(severities)


def test_the_page_lists_every_rule() -> None:
    page = (Path(__file__).parents[3] / "docs/quantization.md").read_text(encoding="utf-8")
    listed = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert [name for name in listed if name in RULES] == list(RULES)
