"""TensorFlow's quantizer on our SavedModel, read by TensorFlow's and LiteRT's interpreters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeworthy.artifact import OnnxModel, TFLiteModel
from edgeworthy.convert.conversion import Conversion, convert
from edgeworthy.errors import BadInput
from edgeworthy.formats.onnx.summary import describe
from edgeworthy.formats.tflite.summary import describe as summary
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe, Rule

from .tflite_graph import Array, worst_sqnr

tf = pytest.importorskip("tensorflow")

NAMES = ("z.image/0", "a:side")
"""TensorFlow takes neither as the name of an argument, and would sort them."""


def network(path: Path, batch: int | str = 1) -> OnnxModel:
    """A convolution over the first input, plus the second; two outputs, the later name first."""
    draw = np.random.default_rng(0)
    weights = draw.normal(size=(8, 3, 3, 3)).astype(np.float32) / 5
    image, side = NAMES
    nodes = [
        helper.make_node("Conv", [image, "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", side], ["sum"]),
        helper.make_node("Relu", ["sum"], ["zz"]),
        helper.make_node("ReduceMean", ["zz", "axes"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "m"], ["aa"]),
    ]
    initializers = [
        numpy_helper.from_array(weights, "w"),
        numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
        numpy_helper.from_array(draw.normal(size=(8, 5)).astype(np.float32), "m"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info(image, TensorProto.FLOAT, [batch, 3, 16, 12]),
            helper.make_tensor_value_info(side, TensorProto.FLOAT, [batch, 8, 16, 12]),
        ],
        [
            helper.make_tensor_value_info("zz", TensorProto.FLOAT, [batch, 8, 16, 12]),
            helper.make_tensor_value_info("aa", TensorProto.FLOAT, [batch, 5]),
        ],
        initializers,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return describe(path)


def feed(batch: int, seed: int) -> dict[str, Array]:
    draw = np.random.default_rng(seed)
    return {
        NAMES[0]: draw.normal(size=(batch, 3, 16, 12)).astype(np.float32),
        NAMES[1]: draw.normal(size=(batch, 8, 16, 12)).astype(np.float32),
    }


def calibration(sizes: tuple[int, ...] = (1,) * 12) -> CalibrationSet:
    return CalibrationSet("normal", samples=8, feeds=8, load=lambda i: feed(sizes[i], i), spare=4)


def arranged(made: Conversion, feeds: list[dict[str, Array]]) -> list[dict[str, Array]]:
    return [
        {
            name: np.ascontiguousarray(array.transpose(made.permutations.get(name, range(4))))
            for name, array in f.items()
        }
        for f in feeds
    ]


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Conversion:
    folder = tmp_path_factory.mktemp("tensorflow")
    return convert(network(folder / "m.onnx"), folder, io_layout="nhwc")


def parts(made: Conversion) -> tuple[TFLiteModel, Path]:
    assert made.tflite is not None
    assert made.saved_model is not None
    return made.tflite, made.saved_model.path


@pytest.mark.parametrize("io_dtype", ["float32", "uint8"])
def test_its_file_is_called_and_laid_out_as_ours(converted: Conversion, io_dtype: str, tmp_path: Path) -> None:
    model, saved = parts(converted)
    recipe = Recipe.of("int8", engine="tensorflow", io_dtype=io_dtype)
    made = quantize(
        model,
        tmp_path / "q.tflite",
        recipe,
        calibration=calibration(),
        permute=converted.permutations,
        saved_model=saved,
    )
    assert made.engine == f"TensorFlow {tf.__version__}"
    assert made.recipe.engine == "tensorflow"
    assert made.float_ops == ()
    for ours, theirs in ((model.inputs, made.model.inputs), (model.outputs, made.model.outputs)):
        assert [(s.name, s.shape) for s in ours] == [(s.name, s.shape) for s in theirs]
        assert {s.dtype for s in theirs} == {io_dtype}
    interpreter = tf.lite.Interpreter(str(made.model.path))
    signature = interpreter.get_signature_list()["serving_default"]
    assert set(signature["inputs"]) == set(NAMES)
    assert set(signature["outputs"]) == {"zz", "aa"}
    fresh = arranged(converted, [feed(1, seed) for seed in range(20, 28)])
    assert worst_sqnr(model.path, made.model.path, fresh) > 25
    again = quantize(
        model,
        tmp_path / "r.tflite",
        made.recipe,
        calibration=calibration(),
        permute=converted.permutations,
        saved_model=saved,
    )
    assert again.model.path.read_bytes() == made.model.path.read_bytes()


@pytest.mark.parametrize("scheme", ["int8", "dynamic_wi8_afp32", "float16", "weight_only_wi8_afp32"])
def test_both_are_measured_and_the_better_is_kept(converted: Conversion, scheme: str, tmp_path: Path) -> None:
    model, saved = parts(converted)
    fresh = [feed(1, seed) for seed in range(20, 24)]
    made = quantize(
        model,
        tmp_path / "q.tflite",
        Recipe.of(scheme, engine="both"),
        calibration=calibration(),
        permute=converted.permutations,
        example=fresh[0],
        saved_model=saved,
    )
    ours, theirs = made.engines
    assert (ours.name, theirs.name) == ("ai-edge", "tensorflow")
    assert ours.worst_db is not None
    assert any(note.startswith(f"engine kept: {made.recipe.engine} ") for note in made.notes)
    if scheme == "weight_only_wi8_afp32":
        assert "has no weight_only_wi8_afp32" in theirs.failure
        assert made.recipe.engine == "ai-edge"
    else:
        assert theirs.worst_db is not None
        assert not theirs.failure
    kept = theirs if made.recipe.engine == "tensorflow" else ours
    found = worst_sqnr(model.path, made.model.path, arranged(converted, fresh))
    assert min(found, 200) == pytest.approx(kept.worst_db, abs=4)
    assert [p.name for p in tmp_path.iterdir() if "tensorflow" in p.name or "part" in p.name] == []


def test_dynamic_dimensions(tmp_path: Path) -> None:
    made = convert(network(tmp_path / "m.onnx", batch="n"), tmp_path)
    model, saved = parts(made)
    sizes = (1, 2, 3, 1, 2, 3, 1, 2, 4, 4, 4, 4)
    result = quantize(
        model,
        tmp_path / "q.tflite",
        Recipe.of("int8", engine="both"),
        calibration=calibration(sizes),
        permute=made.permutations,
        saved_model=saved,
    )
    assert result.engines[1].worst_db is not None or result.engines[1].failure
    assert [(s.name, s.shape) for s in result.model.inputs] == [(s.name, s.shape) for s in summary(model.path).inputs]
    assert worst_sqnr(model.path, result.model.path, arranged(made, [feed(5, 30)])) > 25


def test_what_tensorflow_does_not_take(converted: Conversion, tmp_path: Path) -> None:
    model, saved = parts(converted)
    for recipe, what in (
        (Recipe.of("int8", engine="tensorflow", rules=(Rule(pattern="ADD"),)), "no rules"),
        (Recipe.of("int8", engine="tensorflow", only=["CONV_2D"]), "no rules"),
        (Recipe.of("int8", engine="tensorflow", ranges="mse"), "min_max alone"),
        (Recipe.of("weight_only_wi8_afp32", engine="tensorflow"), "has no weight_only_wi8_afp32"),
    ):
        with pytest.raises(BadInput, match=what) as caught:
            quantize(model, tmp_path / "q.tflite", recipe, calibration=calibration(), saved_model=saved)
        assert caught.value.where == "--engine"
    with pytest.raises(BadInput, match="needs the SavedModel"):
        quantize(model, tmp_path / "q.tflite", Recipe.of("int8", engine="both"), calibration=calibration())


def test_a_death_of_tensorflow_is_a_row(converted: Conversion, tmp_path: Path) -> None:
    """A SavedModel that can't be read: with both engines ours is kept, and it says why theirs is not there."""
    model, saved = parts(converted)
    broken = tmp_path / "saved_model"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes((saved / "saved_model.pb").read_bytes()[:100])
    made = quantize(
        model,
        tmp_path / "q.tflite",
        Recipe.of("int8", engine="both"),
        calibration=calibration(),
        permute=converted.permutations,
        saved_model=broken,
    )
    assert made.recipe.engine == "ai-edge"
    assert made.engines[1].worst_db is None
    assert "TensorFlow" in made.engines[1].failure
