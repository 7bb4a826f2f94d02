"""Operators that a user keeps in float: by kind, by name, by module; and what matches nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgeworthy
from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite.summary import summarize
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe

from .conftest import normal_feeds
from .tflite_graph import CONV, Graph, Weights, worst_sqnr

Calibrate = Callable[..., CalibrationSet]

NET = """
import torch
from torch import nn


def make():
    torch.manual_seed(0)
    net = nn.Sequential()
    net.add_module("stem", nn.Sequential(nn.Conv2d(3, 8, 3), nn.Hardswish()))
    net.add_module("stem2", nn.Conv2d(8, 8, 3))
    net.add_module("head", nn.Sequential(nn.Conv2d(8, 32, 3), nn.Hardswish(), nn.Conv2d(32, 4, 1)))
    net.example_inputs = (torch.randn(1, 3, 16, 16),)
    return net
"""


def two_convolutions(path: Path) -> TFLiteModel:
    w = Weights(0)
    g = Graph(x=(1, 8, 8, 8))
    x = g.op("conv_2d", [g.inputs[0], w(8, 3, 3, 8, fan_in=72), w(8, fan_in=8)], (1, 8, 8, 8), **CONV)
    x = g.op("hard_swish", [x], (1, 8, 8, 8))
    return g.save(path, y=g.op("conv_2d", [x, w(8, 3, 3, 8, fan_in=72), w(8, fan_in=8)], (1, 8, 8, 8), **CONV))


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("HARD_SWISH", ["HARD_SWISH"]),
        ("CONV_2D", ["CONV_2D", "CONV_2D"]),
        ("n1_", ["CONV_2D"]),
        ("mod.block", ["CONV_2D"]),
        ("mod", ["CONV_2D", "HARD_SWISH"]),
        ("modest", ["CONV_2D"]),
    ],
)
def test_what_a_pattern_matches(pattern: str, kept: list[str], tmp_path: Path, calibrate: Calibrate) -> None:
    model = two_convolutions(tmp_path / "m.tflite")
    modules = {"n1_conv_2d": "mod.block.0", "n2_hard_swish": "mod", "y": "modest"}
    result = quantize(
        model,
        tmp_path / "q.tflite",
        Recipe.of("int8", exclude=[pattern]),
        calibration=calibrate(model),
        modules=modules,
    )
    assert [op.op for op in result.float_ops] == kept
    assert {op.reason for op in result.float_ops} == {f"excluded by {pattern!r}"}
    assert worst_sqnr(model.path, result.model.path, normal_feeds(model, 4, seed=1)) > 25


@pytest.mark.parametrize("scheme", ["float16", "dynamic_wi8_afp32", "int8"])
def test_every_scheme_obeys(scheme: str, tmp_path: Path, calibrate: Calibrate) -> None:
    model = two_convolutions(tmp_path / "m.tflite")
    result = quantize(
        model, tmp_path / "q.tflite", Recipe.of(scheme, exclude=["CONV_2D"]), calibration=calibrate(model, 4)
    )
    assert [op.reason for op in result.float_ops] == ["excluded by 'CONV_2D'"] * 2
    (graph,) = summarize(result.model.path).graphs
    kernels = [graph.tensors[op.inputs[1]].dtype for op in graph.ops if op.op == "CONV_2D"]
    assert kernels == ["float32", "float32"]


@pytest.mark.parametrize("scheme", ["float16", "dynamic_wi8_afp32", "int8"])
def test_a_pattern_that_matches_nothing_is_an_error(scheme: str, tmp_path: Path, calibrate: Calibrate) -> None:
    model = two_convolutions(tmp_path / "m.tflite")
    with pytest.raises(BadInput, match="'HARDSWISH' matches no operator") as caught:
        quantize(
            model,
            tmp_path / "q.tflite",
            Recipe.of(scheme, exclude=["CONV_2D", "HARDSWISH"]),
            calibration=calibrate(model, 2),
        )
    assert "near: HARD_SWISH" in caught.value.details
    assert not (tmp_path / "q.tflite").exists()


def test_patterns_with_a_comma_between_them_are_told_how_to_write_them(tmp_path: Path, calibrate: Calibrate) -> None:
    model = two_convolutions(tmp_path / "m.tflite")

    def made(*exclude: str) -> None:
        quantize(model, tmp_path / "q.tflite", Recipe.of("int8", exclude=exclude), calibration=calibrate(model, 2))

    with pytest.raises(BadInput, match="matches no operator") as caught:
        made("CONV_2D,HARD_SWISH")
    assert "; one in each --exclude, or | between them in place of a comma" in caught.value.remedy
    made("CONV_2D|HARD_SWISH")


def test_a_module_by_flag_and_a_kind_by_toml(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    np.savez(tmp_path / "c.npz", input=np.random.default_rng(0).normal(size=(8, 3, 16, 16)).astype("f"))
    (tmp_path / "e.toml").write_text(
        'output = "out"\n[model]\nsource = "net.py:make"\n[convert]\nto = ["tflite"]\n'
        '[quantize]\nschemes = ["int8"]\ncalibration = "c.npz"\nexclude = ["HARD_SWISH"]\n'
    )

    def reasons(*flags: str) -> list[str]:
        command = [sys.executable, "-m", "edgeworthy", "quantize", "e.toml", "--device", "reference", "--json", *flags]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert ran.returncode == 0, ran.stderr + ran.stdout
        return [
            f"{op['op']}: {op['reason']}"
            for op in json.loads(ran.stdout)["quantization"][0]["float_ops"]
            if op["reason"].startswith("excluded")
        ]

    assert reasons() == ["HARD_SWISH: excluded by 'HARD_SWISH'"] * 2
    by_module = reasons("--exclude", "head", "--exclude", r"stem\.0")
    assert by_module.count("CONV_2D: excluded by 'head'") == 2
    assert by_module.count(r"CONV_2D: excluded by 'stem\\.0'") == 1
    assert set(by_module) == {
        r"CONV_2D: excluded by 'stem\\.0'",
        *(f"{op}: excluded by 'head'" for op in ("CONV_2D", "HARD_SWISH", "TRANSPOSE")),
    }

    with pytest.raises(BadInput, match="matches no operator") as caught:
        edgeworthy.run(
            f"{tmp_path}/net.py:make", tmp_path / "other", stages=("quantize",), convert={"to": ["tflite"]},
            quantize={"schemes": ["float16"], "exclude": ["haed"]},
        )  # fmt: skip
    assert "near: head" in [line.partition(".")[0] for line in caught.value.details]
