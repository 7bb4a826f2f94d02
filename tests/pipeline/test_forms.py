"""``--for`` chooses among equal forms: the file differs, the manifest says for whom, and a stage knows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy import devices as names
from edgeworthy.config import Config
from edgeworthy.convert.forms import choose
from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite.releases import release_name, releases
from edgeworthy.pipeline import manifest
from edgeworthy.pipeline.inspection import inspect
from edgeworthy.pipeline.run import run_config
from edgeworthy.targets import rules

from ..convert.lowering.against_ort import model_of


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A depthwise convolution of 7×7."""
    weights = {"w": np.random.default_rng(0).standard_normal((3, 1, 7, 7)).astype(np.float32)}
    nodes = "y = Conv<group=3, pads=[3,3,3,3]>(x, w)"
    path = tmp_path / "m.onnx"
    path.write_bytes(model_of("(float[1,3,9,9] x) => (float[n,c,h,w] y)", nodes, weights))
    return path


def run(model: Path, *targets: str) -> tuple[Any, dict[str, Any], int]:
    """The report, the manifest, and how many depthwise convolutions there are."""
    out = model.parent / "out"
    given = {"output": out, "model": {"source": str(model)}, "convert": {"to": ["tflite"]}}
    report = run_config(Config.model_validate(given | {"preflight": {"targets": list(targets)}}), stages=("convert",))
    count = inspect(out / "model_float32.tflite").ops.get("DEPTHWISE_CONV_2D", 0)
    path = manifest.write(report, model.parent, source="", inputs=[], tools={})
    return report, json.loads(path.read_text()), count


def test_each_device_gets_its_file_and_the_manifest_says_whose(model: Path) -> None:
    for targets, devices, count in (
        ((), ["x86", "arm"], 3),
        (("gpu",), ["gpu"], 1),
        (("arm",), ["arm"], 3),
        (("npu", "gpu"), ["npu", "gpu"], 1),
        ((), ["x86", "arm"], 3),
    ):
        report, said, found = run(model, *targets)
        assert found == count, targets
        assert report.conversion.forms_for == said["forms_for"] == devices


def test_a_name_that_is_no_target_and_no_device(model: Path) -> None:
    with pytest.raises(BadInput, match="nothing is known of a device 'x68'") as error:
        run(model, "x68")
    assert "did you mean 'x86'" in str(error.value.remedy)
    assert "x86: XNNPACK on x86-64" in error.value.details


def test_every_target_with_rules_is_a_device_but_runtimes_of_any_cpu() -> None:
    assert [name for name in rules.names() if names.named(name) is None] == list(map(release_name, releases()))
    for name in rules.names():
        if rules.find(name).integer:
            assert names.computes_integers_alone(name) and choose([name]).devices == ("npu",)


def test_a_device_refuses_nothing(model: Path) -> None:
    assert inspect(model, ["npu", "x86"]).refused == {}
