"""``quantize --analyze`` from PyTorch to the page: the module that was made bad on purpose is named, with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeworthy
from edgeworthy.analysis import AnalysisFile
from edgeworthy.errors import BadInput
from edgeworthy.validate.results import Report

from .quick_runs import redone, visible

NETS = """
import torch
from torch import nn


class Net(nn.Module):
    '''Convolutions; every channel of ``bad`` has a weight of 300 on a channel that is nearly zero.'''

    def __init__(self, planted):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 24, 3, padding=1)
        self.good = nn.Conv2d(24, 24, 1)
        self.bad = nn.Conv2d(24, 24, 1)
        self.tail = nn.Conv2d(24, 8, 1)
        if planted:
            with torch.no_grad():
                self.good.weight[0] *= 1e-4
                self.good.bias[0] = 0
                self.bad.weight[:, 0] = 300
        self.example_inputs = {"image": torch.randn(1, 3, 16, 16)}

    def forward(self, image):
        x = torch.relu(self.stem(image))
        x = torch.nn.functional.leaky_relu(self.good(x), 0.1)
        x = torch.relu(self.bad(x))  # here
        return self.tail(x)


def sound():
    return Net(False)


def planted():
    return Net(True)
"""
LINE = NETS.splitlines().index("        x = torch.relu(self.bad(x))  # here") + 1


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    images = np.random.default_rng(0).normal(size=(24, 3, 16, 16)).astype(np.float32)
    np.savez(tmp_path / "c.npz", image=images)
    return tmp_path


def quantized(folder: Path, source: str, **quantize: Any) -> Report:
    return edgeworthy.run(
        source,
        folder / "out",
        stages=("quantize",),
        convert={"to": ["tflite"]},
        quantize={"calibration": str(folder / "c.npz"), "samples": 16, "schemes": ["int8"]} | quantize,
    )


def test_the_bad_module_is_named_with_its_line(nets: Path) -> None:
    report = quantized(nets, f"{nets}/nets.py:planted", analyze=True, sensitivity="all-but-one")
    (found,) = report.analyses
    worst = found.layers[0]
    assert (worst.place.module, worst.place.source.endswith(f"nets.py:{LINE}")) == ("bad", True)
    assert worst.local_db < 10 < 25 < found.layers[1].local_db
    assert found.sensitivity
    assert found.sensitivity.rows[0].place == worst.place
    assert [(f.rule, f.place.module) for f in found.findings if f.rule == "outlier_weight"] == [
        ("outlier_weight", "bad")
    ]
    assert found.histograms[0].place == worst.place
    assert (found.samples, "held out" in found.inputs) == (8, True)
    held = AnalysisFile.model_validate_json((nets / "out/analysis.json").read_text())
    assert held.files == [found]
    page = (nets / "out/analysis.html").read_text()
    assert "Inside static_wi8_ai8" in page
    assert page.count("<svg") == 4
    assert f"nets.py:{LINE}" in page


def test_the_lint_runs_where_nobody_asks_and_writes_nothing(nets: Path) -> None:
    (found,) = quantized(nets, f"{nets}/nets.py:planted").analyses
    assert {f.rule for f in found.findings} >= {"outlier_weight"}
    assert (found.samples, found.layers, found.histograms) == (0, [], [])
    assert not {"analysis.json", "analysis.html"} & visible(nets / "out")
    assert quantized(nets, f"{nets}/nets.py:sound").analyses[0].findings == []


def test_analyses_are_taken_over_and_files_that_went_are_made_again(nets: Path) -> None:
    source = f"{nets}/nets.py:sound"
    quantized(nets, source, analyze=True)
    first = {name: (nets / "out" / name).read_bytes() for name in ("analysis.json", "analysis.html")}
    again = quantized(nets, source, analyze=True)
    assert redone(again) == set()
    (nets / "out/analysis.json").unlink()
    assert redone(quantized(nets, source, analyze=True)) == {"analysis"}
    assert {name: (nets / "out" / name).read_bytes() for name in first} == first
    assert redone(quantized(nets, source, analyze=True, sensitivity="one")) == {"analyze.static_wi8_ai8", "analysis"}
    without = quantized(nets, source)
    assert redone(without) == {"analyze.static_wi8_ai8"}


def test_a_file_of_that_name_that_we_did_not_make_stays(nets: Path) -> None:
    (nets / "out").mkdir()
    (nets / "out/analysis.json").write_text("mine")
    with pytest.raises(BadInput, match=r"analysis\.json"):
        quantized(nets, f"{nets}/nets.py:sound", analyze=True)
    assert (nets / "out/analysis.json").read_text() == "mine"


def test_a_file_that_is_exact_has_a_page_too(nets: Path) -> None:
    quantized(nets, f"{nets}/nets.py:sound", analyze=True, exclude=[".*"])
    assert "Inside" in (nets / "out/analysis.html").read_text()


def test_a_tflite_file_has_no_modules_and_no_less_of_an_analysis(nets: Path) -> None:
    quantized(nets, f"{nets}/nets.py:planted")
    (nets / "out/model_float32.tflite").rename(nets / "theirs.tflite")
    (nets / "out").rename(nets / "before")
    np.savez(nets / "c.npz", image=np.load(nets / "c.npz")["image"])
    report = edgeworthy.run(
        nets / "theirs.tflite",
        nets / "out",
        stages=("quantize",),
        quantize={"calibration": str(nets / "c.npz"), "schemes": ["int8", "float16"], "analyze": True},
    )
    int8, float16 = report.analyses
    assert int8.layers[0].place.op == "CONV_2D"
    assert int8.layers[0].local_db < 10
    assert {layer.place.module for layer in int8.layers} == {""}
    assert float16.layers[0].local_db > 50
    assert json.loads((nets / "out/analysis.json").read_text()).keys() == {"version", "edgeworthy", "files"}
