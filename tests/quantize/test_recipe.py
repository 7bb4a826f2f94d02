"""Recipes: what they hold, what they refuse, and that each makes its file again, byte for byte."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite.summary import summarize
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe, Rule, path_beside
from edgeworthy.schemes import QUANTIZED

from .conftest import normal_feeds
from .test_exclusion import NET, two_convolutions
from .tflite_graph import worst_sqnr

Calibrate = Callable[..., CalibrationSet]


def kinds(path: Path) -> list[tuple[str, str]]:
    """(operator, dtype of its result) in order."""
    (graph,) = summarize(path).graphs
    return [(op.op, graph.tensors[op.outputs[0]].dtype) for op in graph.ops]


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe.of("int8"),
        Recipe.of("int8", exclude=["SOFTMAX"], io_dtype="uint8"),
        Recipe.of("int8", only=["CONV_2D", "MEAN"]),
        Recipe.of("int8", rules=(Rule(pattern="MEAN", compute="int16"),)),
        Recipe.of("dynamic_wi8_afp32", exclude=["FULLY_CONNECTED"]),
        Recipe.of("weight_only_wi8_afp32"),
        Recipe.of("float16", exclude=["CONV_2D"]),
    ],
    ids=lambda r: f"{r.scheme}-{len(r.rules)}{len(r.only)}",
)
def test_a_recipe_makes_its_file_again(
    recipe: Recipe, conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate
) -> None:
    data = calibrate(conv_net, 4)
    first = quantize(conv_net, tmp_path / "a.tflite", recipe, calibration=data)
    stored = path_beside(first.model.path)
    assert stored == tmp_path / "a.recipe.json"
    again = quantize(conv_net, tmp_path / "b.tflite", Recipe.read(stored), calibration=data)
    assert again.model.path.read_bytes() == first.model.path.read_bytes()
    assert path_beside(again.model.path).read_bytes() == stored.read_bytes()
    assert again.float_ops == first.float_ops
    assert first.recipe.resolved
    assert {rule.by for rule in first.recipe.rules} <= {"result"}
    assert bool(first.recipe.calibration) == first.scheme.startswith("static")


def test_a_recipe_of_another_model_or_of_other_data_is_refused(
    conv_net: TFLiteModel, transformer: TFLiteModel, tmp_path: Path, calibrate: Calibrate
) -> None:
    data = calibrate(conv_net, 4)
    recipe = quantize(conv_net, tmp_path / "a.tflite", Recipe.of("int8"), calibration=data).recipe
    with pytest.raises(BadInput, match="made for another float model"):
        quantize(transformer, tmp_path / "b.tflite", recipe, calibration=calibrate(transformer, 4))
    with pytest.raises(BadInput, match="made for other calibration data") as caught:
        quantize(conv_net, tmp_path / "b.tflite", recipe, calibration=calibrate(conv_net, 5))
    assert "take calibration out" in str(caught.value)
    assert not (tmp_path / "b.tflite").exists()
    freed = recipe.model_copy(update={"calibration": None})
    assert quantize(conv_net, tmp_path / "b.tflite", freed, calibration=calibrate(conv_net, 5)).recipe.calibration


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"exlcude": ["ADD"]}, "unknown key 'exlcude'"),
        ({"rule": []}, "unknown key 'rule'; did you mean 'rules'?"),
        ({"rules": [{"patern": "ADD"}]}, "unknown key 'rules.0.patern'; did you mean 'pattern'?"),
        ({"rules": [{"pattern": "("}]}, "no regular expression"),
        ({"rules": [{"pattern": "ADD", "compute": "int7"}]}, "rules.0.compute"),
        ({"only": ["["]}, "no regular expression"),
        ({"version": 2}, "version"),
        ({"resolved": "yes"}, "resolved"),
        ({"scheme": "int7"}, "no quantization scheme 'int7'"),
        ({"scheme": None}, "scheme"),
    ],
)
def test_what_no_recipe_has_is_refused_by_name(change: dict[str, object], said: str, tmp_path: Path) -> None:
    path = tmp_path / "r.recipe.json"
    path.write_text(json.dumps({"scheme": "int8"} | change))
    with pytest.raises(BadInput) as caught:
        Recipe.read(path)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 1}', "\xff"])
def test_what_is_no_recipe_is_bad_input(text: str, tmp_path: Path) -> None:
    path = tmp_path / "r.recipe.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput) as caught:
        Recipe.read(path)
    assert caught.value.where == str(path)
    with pytest.raises(BadInput, match="can't be read"):
        Recipe.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("rules", "floats"),
    [
        ([("CONV_2D", "operator")], [0, 2]),
        ([("n1_", "name")], [0]),
        ([("mod", "module")], [0, 1]),
        ([("CONV_2D", "operator"), ("n1_conv_2d2", "result")], [0, 2]),
        ([("n1_conv_2d2", "result")], [0]),
    ],
)
def test_what_a_rule_speaks_of(
    rules: list[tuple[str, str]], floats: list[int], tmp_path: Path, calibrate: Calibrate
) -> None:
    model = two_convolutions(tmp_path / "m.tflite")
    recipe = Recipe.of("int8", rules=tuple({"pattern": p, "by": by} for p, by in rules))
    modules = {"n1_conv_2d": "mod.block.0", "n2_hard_swish": "mod", "y": "modest"}
    made = quantize(model, tmp_path / "q.tflite", recipe, calibration=calibrate(model, 4), modules=modules)
    assert [kind for kind, _ in kinds(model.path)] == ["CONV_2D", "HARD_SWISH", "CONV_2D"]
    names = ["n1_conv_2d2", "n2_hard_swish", "serving_default_y_output"]
    assert [rule.pattern for rule in made.recipe.rules] == [names[i] for i in floats]


@pytest.mark.parametrize(
    ("pattern", "by"), [("n1_", "operator"), ("CONV_2D", "name"), ("HARD_SWISH", "module"), ("n1_", "result")]
)
def test_a_rule_that_means_nothing_is_an_error(pattern: str, by: str, tmp_path: Path, calibrate: Calibrate) -> None:
    model = two_convolutions(tmp_path / "m.tflite")
    recipe = Recipe.of("int8", rules=({"pattern": pattern, "by": by},))
    with pytest.raises(BadInput, match=f"{pattern!r} matches no operator"):
        quantize(model, tmp_path / "q.tflite", recipe, calibration=calibrate(model, 2))


def test_the_last_rule_decides(tmp_path: Path, calibrate: Calibrate) -> None:
    model = two_convolutions(tmp_path / "m.tflite")
    rules = (Rule(pattern=".*"), Rule(pattern="CONV_2D", compute="int8"))
    made = quantize(model, tmp_path / "q.tflite", Recipe.of("int8", rules=rules), calibration=calibrate(model, 4))
    assert [op.op for op in made.float_ops] == ["HARD_SWISH"]
    only = quantize(model, tmp_path / "o.tflite", Recipe.of("int8", only=["CONV_2D"]), calibration=calibrate(model, 4))
    assert only.model.path.read_bytes() == made.model.path.read_bytes()
    assert "alone are quantized" in only.float_ops[0].reason


def test_an_operator_computes_in_int16_where_a_rule_says_so(tmp_path: Path, calibrate: Calibrate) -> None:
    model = two_convolutions(tmp_path / "m.tflite")
    rules = (Rule(pattern="n1_", compute="int16"),)
    made = quantize(model, tmp_path / "q.tflite", Recipe.of("int8", rules=rules), calibration=calibrate(model))
    assert [dtype for op, dtype in kinds(made.model.path) if op == "CONV_2D"] == ["int16", "int8"]
    for delegate in (True, False):
        assert worst_sqnr(model.path, made.model.path, normal_feeds(model, 4, seed=1), delegate=delegate) > 25


def test_the_command_line_makes_a_file_again(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    np.savez(tmp_path / "c.npz", input=np.random.default_rng(0).normal(size=(8, 3, 16, 16)).astype("f"))

    def run(output: str, *flags: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "edgeworthy", "quantize", "net.py:make", "-o", output, "--to", "tflite"]
        ran = subprocess.run(
            [*command, "--calibration", "c.npz", *flags], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        return ran.returncode, ran.stderr + ran.stdout

    assert run("out", "--scheme", "int8", "--keep-float", "HARD_SWISH", "--only", "head|stem")[0] == 0
    made, stored = tmp_path / "out/model_int8.tflite", "out/model_int8.recipe.json"
    assert {op for op, dtype in kinds(made) if dtype == "int8"} >= {"CONV_2D"}
    assert ("HARD_SWISH", "float32") in kinds(made)
    assert run("again", "--recipe", stored)[0] == 0
    assert (tmp_path / "again/model_int8.tflite").read_bytes() == made.read_bytes()
    assert (tmp_path / "again/model_int8.recipe.json").read_bytes() == (tmp_path / stored).read_bytes()
    assert run("out", "--recipe", stored)[0] == 0, "the file that is read is the one that is written"

    code, said = run("third", "--recipe", stored, "--exclude", "ADD", "--scheme", "int8")
    assert (code, "schemes and exclude would say it too" in said) == (2, True)
    code, said = run("third", "--scheme", "int8", "--keep-float", "haed")
    assert (code, "near: head" in said) == (2, True)


def test_the_schemes_are_listed() -> None:
    command = [sys.executable, "-m", "edgeworthy", "quantize", "--list"]
    ran = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    listed = {row["name"]: row for row in json.loads(ran.stdout)}
    assert set(listed) == {scheme.name for scheme in QUANTIZED}
    assert listed["static_wi8_ai8"]["needs_calibration"] is True
    assert listed["dynamic_wi4_afp32"]["size"] == 0.125
    plain = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert all(scheme.name in plain for scheme in QUANTIZED)
