"""What a device wants in float stays float, with what lies between; and --full-integer means what it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeworthy import devices as names
from edgeworthy.artifact import TFLiteModel
from edgeworthy.config import Config
from edgeworthy.convert.forms import choose
from edgeworthy.errors import BadInput, CheckFailed
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.formats.tflite.condition import Condition
from edgeworthy.formats.tflite.summary import OP_NAMES, summarize
from edgeworthy.pipeline import preflight, recipes
from edgeworthy.quantize import devices
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.post_training import Quantization, quantize
from edgeworthy.quantize.recipe import Recipe, Rule
from edgeworthy.schemes import get_scheme
from edgeworthy.tables import IoDtype
from edgeworthy.targets import rules

from .conftest import normal_feeds
from .tflite_graph import CONV, Graph, Weights, i32, run, worst_sqnr

Calibrate = Callable[..., CalibrationSet]
TABLE = devices.table()


def integers(made: Quantization) -> Counter[str]:
    """Kinds of the operators whose result is int8, without casts."""
    (graph,) = summarize(made.model.path).graphs
    kinds = [op.op for op in graph.ops if graph.tensors[op.outputs[0]].dtype == "int8"]
    return Counter(kind for kind in kinds if kind != "QUANTIZE")


# ---- the table ----


def test_the_table_is_whole() -> None:
    known = names.devices()
    for name, device in known.items():
        assert set(device.of) <= set(known), name
        assert not (device.integer and any(name in rule.devices for rule in TABLE.rules)), name
    for rule in TABLE.rules:
        assert rule.devices
        assert set(rule.devices) <= set(known)
        assert rule.operators or rule.part, "it speaks of kinds, or of a part"
        assert set(rule.operators) <= set(OP_NAMES.values())
        assert rule.gain
        assert any(year in rule.source for year in ("2025-", "2026-")), "where and when it was measured"
        Condition.of(rule.when)
    for cost in TABLE.costs:
        assert set(cost.devices) <= set(known)
        assert set(cost.operators) <= set(OP_NAMES.values())
        assert "2026-" in cost.source
        Condition.of(cost.when)


@pytest.mark.parametrize(
    ("targets", "device"),
    [
        (["ethos-u:55-128"], "ethos-u"),
        (["ethos-u:85-256"], "ethos-u"),
        (["ethos-u85"], "ethos-u"),
        (["android-gpu", "edgetpu", "nnapi"], "edgetpu"),
        (["nnapi"], "npu"),
        (["arm"], "arm"),
        (["arm", "ethos-u"], "ethos-u"),
        (["android-gpu", "tflite-2.14"], "gpu"),
        (["tflite-2.14"], None),
        ([], None),
    ],
)
def test_a_target_that_files_are_meant_for_is_a_device(targets: list[str], device: str | None) -> None:
    assert names.of_targets(targets) == device


@pytest.mark.parametrize("name", names.titles())
def test_for_and_device_take_the_same_names(name: str) -> None:
    """A device is the same by either, and asks for the same forms and decisions as by its own name."""
    for given in (name, f"{name}:55-128"):
        by_for = Config.model_validate({"preflight": {"targets": [given]}})
        by_device = Config.model_validate({"quantize": {"device": given}})
        assert recipes.device(by_for) == recipes.device(by_device) == names.find(name) == names.named(given)
    assert name in preflight.names()
    assert choose([name]) == choose([names.find(name)])


def test_the_names_of_devices_are_of_one_each() -> None:
    every = [other for name, device in names.devices().items() for other in (name, *device.also)]
    assert len(set(every)) == len(every)
    assert {name for name in rules.names() if rules.find(name).integer} < set(every)


def test_int8_for_gpus_is_that_for_cpus(conv_net: TFLiteModel) -> None:
    content, scheme = conv_net.path.read_bytes(), get_scheme("int8")
    decided = {name: set(devices.preferences(content, scheme, name)) for name in ("cpu", "gpu", "reference", "arm64")}
    assert decided["gpu"] == decided["cpu"] and decided["cpu"] > decided["arm64"] and not decided["reference"]


def test_a_device_that_isnt_there_names_the_near_ones() -> None:
    with pytest.raises(BadInput, match="nothing is known of a device 'armm'") as caught:
        names.find("armm")
    assert caught.value.remedy == "did you mean 'arm' or 'arm64'?"
    assert len(caught.value.details) == len(names.titles())


@pytest.mark.parametrize("name", ["armm", "toaster", "etos-u"])
def test_for_and_device_say_the_same_of_what_isnt_there(name: str, conv_net: TFLiteModel) -> None:
    """But for the options' names, and for the runtimes and configurations that --for takes beside devices."""
    with pytest.raises(BadInput) as by_device:
        recipes.device(Config.model_validate({"quantize": {"device": name}}))
    with pytest.raises(BadInput) as by_for:
        preflight.of_file(conv_net.path, [name])
    assert by_for.value.what == by_device.value.what == f"nothing is known of a device {name!r}"
    assert (by_for.value.where, by_device.value.where) == ("--for", "--device")
    assert {line.partition(":")[0] for line in by_device.value.details} <= set(preflight.names())
    listed = {line.partition(":")[0] for line in by_for.value.details}
    assert listed >= {line.partition(":")[0] for line in by_device.value.details}


# ---- what it does to models ----


def test_a_transformer_keeps_its_products_of_weights_alone_in_int8(
    transformer: TFLiteModel, tmp_path: Path, calibrate: Calibrate
) -> None:
    data = calibrate(transformer, 32)
    whole = quantize(transformer, tmp_path / "whole.tflite", Recipe.of("int8"), calibration=data)
    made = quantize(transformer, tmp_path / "cpu.tflite", Recipe.of("int8", device="cpu"), calibration=data)
    assert integers(made) == {"FULLY_CONNECTED": 6} | {
        kind: count for kind, count in integers(made).items() if kind in ("RESHAPE", "TRANSPOSE")
    }
    assert integers(whole).total() > 40
    better, full = (worst_sqnr(transformer.path, m.model.path, normal_feeds(transformer, 8, 1)) for m in (made, whole))
    assert better > full + 6
    assert {op.op for op in made.float_ops} >= {"BATCH_MATMUL", "SOFTMAX", "GELU", "RSQRT", "MEAN"}
    assert all(op.reason for op in made.float_ops)


@pytest.mark.parametrize(
    ("device", "floats"),
    [
        ("cpu", {"HARD_SWISH", "MEAN", "SOFTMAX"}), ("x86", {"HARD_SWISH", "MEAN", "SOFTMAX"}), ("arm", set()),
        ("reference", set()), ("edgetpu", set()), ("npu", set()), ("ethos-u", set()), (None, set()),
    ],
)  # fmt: skip
def test_a_conv_net_follows_its_device(
    device: str | None, floats: set[str], conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate
) -> None:
    recipe = Recipe.of("int8", device=device)
    made = quantize(conv_net, tmp_path / "q.tflite", recipe, calibration=calibrate(conv_net, 8))
    layers = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE", "RELU6", "ADD"}
    assert {op.op for op in made.float_ops if op.op not in layers} == floats
    assert bool(layers & {op.op for op in made.float_ops}) == bool(floats), "where costs are known"
    for delegate in (True, False):
        assert worst_sqnr(conv_net.path, made.model.path, normal_feeds(conv_net, 8), delegate=delegate) > 33


@pytest.mark.parametrize(("size", "kept"), [(3, False), (5, False), (7, True)])
def test_depthwise_windows_stay_float_above_25_taps(
    size: int, kept: bool, tmp_path: Path, calibrate: Calibrate
) -> None:
    g, w = Graph(x=(1, 8, 8, 8)), Weights(0)
    x = g.op("conv_2d", [g.inputs[0], w(8, 3, 3, 8, fan_in=72), w(8, fan_in=8)], (1, 8, 8, 8), **CONV)
    kernel = [w(1, size, size, 8, fan_in=size**2), w(8, fan_in=8)]
    x = g.op("depthwise_conv_2d", [x, *kernel], (1, 8, 8, 8), **CONV, depth_multiplier=1)
    x = g.op("conv_2d", [x, w(8, 3, 3, 8, fan_in=72), w(8, fan_in=8)], (1, 8, 8, 8), **CONV)
    model = g.save(tmp_path / "m.tflite", y=x)
    made = quantize(model, tmp_path / "q.tflite", Recipe.of("int8", device="cpu"), calibration=calibrate(model))
    assert [op.op for op in made.float_ops] == ["DEPTHWISE_CONV_2D"] * kept
    assert worst_sqnr(model.path, made.model.path, normal_feeds(model, 4)) > 28


def test_the_users_word_is_stronger_than_the_devices(
    conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate
) -> None:
    rules = (Rule(pattern="HARD_SWISH", compute="int8"), Rule(pattern="SOFTMAX", compute="int8"))
    recipe = Recipe.of("int8", device="cpu", rules=rules)
    made = quantize(conv_net, tmp_path / "q.tflite", recipe, calibration=calibrate(conv_net, 4))
    assert not {"HARD_SWISH", "SOFTMAX"} & {op.op for op in made.float_ops}


def test_what_a_device_wants_is_in_the_recipe(conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate) -> None:
    data = calibrate(conv_net, 4)
    made = quantize(conv_net, tmp_path / "a.tflite", Recipe.of("int8", device="cpu"), calibration=data)
    assert {rule.why.partition(":")[0] for rule in made.recipe.rules} == {
        "better in float32 on cpu",
        "faster in float32, with its casts, on cpu",
        "a cast before and behind it would cost more than it gains",
    }
    again = quantize(conv_net, tmp_path / "b.tflite", made.recipe, calibration=data)
    assert again.model.sha256 == made.model.sha256


# ---- what it costs ----


def narrow_and_deep(path: Path) -> TFLiteModel:
    """A 1×1 convolution of 32 channels at 4,096 positions, then others of up to 256 at 16."""
    g, w = Graph(x=(1, 64, 64, 32)), Weights(0)
    patches = CONV | {"stride_h": 16, "stride_w": 16}
    x = g.op("conv_2d", [g.inputs[0], w(32, 1, 1, 32, fan_in=32), w(32, fan_in=50)], (1, 64, 64, 32), **CONV)
    x = g.op("conv_2d", [x, w(64, 16, 16, 32, fan_in=8192), w(64, fan_in=50)], (1, 4, 4, 64), **patches)
    x = g.op("conv_2d", [x, w(256, 3, 3, 64, fan_in=576), w(256, fan_in=50)], (1, 4, 4, 256), **CONV)
    return g.save(path, y=x)


def test_costs_are_counted_by_what_there_is_of_an_operator(tmp_path: Path) -> None:
    content = narrow_and_deep(tmp_path / "m.tflite").path.read_bytes()
    costs = devices.costs(content, get_scheme("int8"), "x86")
    assert costs is not None
    assert costs.cast == 90
    pixels, macs, weights = 64 * 64, 64 * 64 * 32 * 32, 32 * 32
    assert costs.saved[0] == (10 * macs + 15 * weights) - (macs + 13_000 * pixels)
    assert costs.saved[0] < 0 < costs.saved[1]
    pixels, taps, weights = 16, 9, 3 * 3 * 64 * 256
    assert costs.saved[2] == (14 * pixels * weights + 15 * weights) - (2800 * 4 * pixels * taps + 5000 * pixels)
    assert devices.costs(content, get_scheme("int8"), "arm") is None, "nobody measured there"
    assert devices.costs(content, get_scheme("static_wi8_ai16"), "x86") is None


def test_a_convolution_of_one_channel_and_a_long_window_is_float(tmp_path: Path, calibrate: Calibrate) -> None:
    """A Fourier transform: int8 kernels compute 64 channels where there is one."""
    g, w = Graph(x=(1, 1, 1024, 1)), Weights(0)
    windows = CONV | {"stride_w": 128, "padding": "VALID"}
    x = g.op("conv_2d", [g.inputs[0], w(258, 1, 256, 1, fan_in=256), w(258, fan_in=50)], (1, 1, 7, 258), **windows)
    x = g.op("conv_2d", [x, w(512, 1, 3, 258, fan_in=774), w(512, fan_in=50)], (1, 1, 7, 512), **CONV)
    model = g.save(tmp_path / "m.tflite", y=x)
    made = quantize(model, tmp_path / "q.tflite", Recipe.of("int8", device="x86"), calibration=calibrate(model, 4))
    assert [op.op for op in made.float_ops] == ["CONV_2D"]
    assert integers(made)["CONV_2D"] == 1


def test_a_layer_that_int8_makes_slower_keeps_int8_weights(tmp_path: Path, calibrate: Calibrate) -> None:
    model = narrow_and_deep(tmp_path / "m.tflite")
    data = calibrate(model, 4)
    made, whole = (
        quantize(model, tmp_path / f"{device}.tflite", Recipe.of("int8", device=device), calibration=data)
        for device in ("x86", "arm")
    )
    assert whole.float_ops == ()
    assert [(op.op, op.reason) for op in made.float_ops] == [("CONV_2D", "faster in float32, with its casts, on x86")]
    assert integers(made)["CONV_2D"] == 2
    stored = fb.read(made.model.path.read_bytes())
    kernels = [t for t in stored.subgraphs[0].tensors if tuple(t.shape) == (32, 1, 1, 32) and fb.is_constant(stored, t)]
    assert [t.type for t in kernels] == [fb.TensorType.INT8]
    assert made.model.path.stat().st_size < 1.02 * whole.model.path.stat().st_size
    better, full = (worst_sqnr(model.path, m.model.path, normal_feeds(model, 4, 1)) for m in (made, whole))
    assert better > full
    again = quantize(model, tmp_path / "again.tflite", made.recipe, calibration=data)
    assert again.model.sha256 == made.model.sha256


@pytest.mark.parametrize("scheme", ["int8", "static_wi4_ai8", "dynamic_wi8_afp32"])
def test_integer_weights_asked_of_all_are_those_of_layers(
    scheme: str, conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate
) -> None:
    """An operator without weights is plain float, and nothing but the weights is rounded."""
    io_dtype: IoDtype = "int8" if scheme == "int8" else "float32"
    recipe = Recipe.of(scheme, rules=(Rule(pattern=".*", compute="weights"),), io_dtype=io_dtype)
    made = quantize(conv_net, tmp_path / "q.tflite", recipe, calibration=calibrate(conv_net, 4))
    bits = 4 if "wi4" in scheme else 8
    unpacked = quantize(conv_net, tmp_path / "w.tflite", Recipe.of(f"weight_only_wi{bits}_afp32"))
    assert bool(made.float_ops) == get_scheme(scheme).needs_calibration, "others compute in float anyway"
    assert integers(made).total() == 0
    assert summarize(made.model.path).constant_bytes == summarize(unpacked.model.path).constant_bytes
    if io_dtype == "float32":
        (feed,) = normal_feeds(conv_net, 1)
        got, want = (run(m.model.path, feed) for m in (made, unpacked))
        assert all(np.array_equal(got[name], want[name]) for name in want)
    else:
        assert worst_sqnr(conv_net.path, made.model.path, normal_feeds(conv_net, 4)) > 25


def test_ranges_at_run_time_asked_of_all_are_those_of_a_dynamic_file(
    conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate
) -> None:
    recipe = Recipe.of("int8", rules=(Rule(pattern=".*", compute="dynamic"),))
    made = quantize(conv_net, tmp_path / "q.tflite", recipe, calibration=calibrate(conv_net, 4))
    dynamic = quantize(conv_net, tmp_path / "d.tflite", Recipe.of("dynamic_wi8_afp32"))
    assert summarize(made.model.path).constant_bytes == summarize(dynamic.model.path).constant_bytes
    for feed in normal_feeds(conv_net, 3):
        got, want = (run(m.model.path, feed) for m in (made, dynamic))
        assert all(np.array_equal(got[name], want[name]) for name in want)


@pytest.mark.parametrize(("size", "said"), [(128, True), (16, False)])
def test_a_model_of_layers_that_are_all_faster_in_float(
    size: int, said: bool, tmp_path: Path, calibrate: Calibrate
) -> None:
    """It is float and says so; where that gains but a few microseconds, it is the int8 that was asked for."""
    g, w = Graph(x=(1, size, size, 32)), Weights(0)
    x = g.op("conv_2d", [g.inputs[0], w(32, 1, 1, 32, fan_in=32), w(32, fan_in=50)], (1, size, size, 32), **CONV)
    model = g.save(tmp_path / "m.tflite", y=g.op("reshape", [x, i32(1, size * size * 32)], (1, size * size * 32)))
    made = quantize(model, tmp_path / "q.tflite", Recipe.of("int8", device="cpu"), calibration=calibrate(model, 2))
    assert (integers(made)["CONV_2D"] == 0) == said
    assert any(note.startswith("no layer is faster in int8 on cpu") for note in made.notes) == said


# ---- full integer ----


def test_full_integer_says_what_it_costs(conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate) -> None:
    recipe = Recipe.of("int8", device="cpu", full_integer=True, io_dtype="int8")
    made = quantize(conv_net, tmp_path / "q.tflite", recipe, calibration=calibrate(conv_net, 8))
    assert made.float_ops == ()
    assert "float32" not in summarize(made.model.path).activation_dtypes
    assert any(note.startswith("1 HARD_SWISH in int8, which would be better in float on cpu") for note in made.notes)


def test_full_integer_names_what_cant_be(tmp_path: Path, calibrate: Calibrate) -> None:
    g = Graph(x=(1, 16))
    y = g.op("sin", [g.op("tanh", [g.inputs[0]], (1, 16))], (1, 16))
    model = g.save(tmp_path / "m.tflite", y=y)
    with pytest.raises(CheckFailed, match="1 operator can't be integer") as caught:
        quantize(model, tmp_path / "q.tflite", Recipe.of("int8", full_integer=True), calibration=calibrate(model))
    (line,) = caught.value.details
    assert line.startswith("SIN ")
    assert "no static_wi8_ai8 form" in line
    assert not (tmp_path / "q.tflite").exists()
