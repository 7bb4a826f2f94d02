"""Accuracy of tasks, from the command line to the report: real files on real runtimes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import edgeworthy
from edgeworthy.errors import BadInput
from edgeworthy.validate.results import AccuracyResult

WIDE = os.environ | {"COLUMNS": "400"}

NETS = """
import torch
from torch import nn


class Pixels(nn.Module):
    '''Scores of three classes for each pixel, [batch, 3, 16, 16].'''

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1))
        self.example_inputs = {"image": torch.randn(1, 3, 16, 16)}

    def forward(self, image):
        return self.net(image)


class Boxes(nn.Module):
    '''Each image holds its own boxes, [batch, 4, 6]: corners, score, class.'''

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.example_inputs = {"rows": torch.rand(1, 4, 6)}

    def forward(self, rows):
        return rows * self.scale


def pixels():
    return Pixels().eval()


def boxes():
    return Boxes().eval()


def share(outputs, labels):
    (scores,) = outputs.values()
    return (scores.argmax(1) == labels).mean(axis=(1, 2))
"""
COUNT = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    random = np.random.default_rng(0)
    images = random.normal(size=(COUNT, 3, 16, 16)).astype(np.float32)
    sys.path.insert(0, str(tmp_path))
    try:
        space: dict[str, Any] = {}
        exec(compile(NETS, "nets", "exec"), space)
        with torch.no_grad():
            said = space["pixels"]()(torch.from_numpy(images)).argmax(1).numpy()
    finally:
        sys.path.remove(str(tmp_path))
    labels = np.where(random.random(said.shape) < 0.1, (said + 1) % 3, said)
    np.savez(tmp_path / "pixels.npz", image=images, labels=labels)
    return tmp_path


def accuracy(folder: Path, factory: str, labelled: str, task: str, scheme: str = "float16") -> AccuracyResult:
    report = edgeworthy.run(
        f"{folder}/nets.py:{factory}",
        folder / "out",
        stages=("validate",),
        convert={"to": ["tflite"]},
        quantize={"schemes": [scheme]},
        validate={"labelled": str(folder / labelled), "accuracy": task, "samples": 2},
        targets=["pytorch", "tflite"],
    )
    assert report.accuracy
    return report.accuracy


def test_segmentation_and_a_metric_of_ones_own(folder: Path) -> None:
    found = accuracy(folder, "pixels", "pixels.npz", "segmentation")
    assert (found.metric, found.reference) == ("mIoU", "PyTorch")
    first, _, half = found.rows
    assert first.accuracy is not None and 0.7 < first.accuracy < 0.9
    assert first.more["pixels right"] == pytest.approx(0.9, abs=0.02)
    assert half.drop is not None and abs(half.drop) < 0.01
    own = accuracy(folder, "pixels", "pixels.npz", f"{folder}/nets.py:share")
    assert own.metric == "share" and own.rows[0].accuracy == pytest.approx(first.more["pixels right"])


def test_detection_of_objects_in_json(folder: Path) -> None:
    random = np.random.default_rng(1)
    low = random.uniform(0, 200, (COUNT, 4, 2))
    rows = np.concatenate(
        (low, low + 50, random.uniform(0.5, 1, (COUNT, 4, 1)), random.integers(0, 3, (COUNT, 4, 1))), 2
    )
    np.savez(folder / "rows.npz", rows=rows.astype(np.float32))
    objects = [[{"box": list(r[:4]), "class": int(r[5])} for r in image[:3]] for image in rows]
    (folder / "objects.json").write_text(json.dumps({"inputs": "rows.npz", "objects": objects}))
    found = accuracy(folder, "boxes", "objects.json", "detection")
    assert found.metric == "mAP@[.5:.95]" and found.output
    assert all(row.accuracy is not None and 0.5 < row.accuracy < 1 for row in found.rows), "a fourth was invented"
    assert found.rows[0].accuracy == pytest.approx(found.rows[1].accuracy)


def test_the_terminal_says_it(folder: Path) -> None:
    command = [sys.executable, "-m", "edgeworthy", "validate", "nets.py:pixels", "-o", "out", "--to", "tflite"]
    command += ["--scheme", "float16", "--target", "pytorch,tflite", "--labelled", "pixels.npz"]
    ran = subprocess.run(
        [*command, "--accuracy", "segmentation"], capture_output=True, text=True, cwd=folder, env=WIDE, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert f"Accuracy is mIoU on {COUNT} samples of pixels.npz, against PyTorch" in ran.stdout
    assert "· TFLite float16 loses" in ran.stdout and "samples worse:" in ran.stdout
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=WIDE, check=False)
    assert ran.returncode == 2 and "labels must be classes" in ran.stderr


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"accuracy": "detection"}, "asks for labelled data, and there is none"),
        ({"accuracy": "recall"}, "asks for labelled data|no task"),
        ({"accuracy": "detection", "labelled": "pixels.npz"}, "the file has no objects"),
        ({"accuracy": "segmentations", "labelled": "pixels.npz"}, "no task 'segmentations'"),
        ({"accuracy": "nets.py:absent", "labelled": "pixels.npz"}, "no function 'absent'"),
    ],
)
def test_what_is_refused_before_any_work(folder: Path, table: dict[str, str], message: str) -> None:
    told = {k: str(folder / v) if v.startswith(("pixels", "nets")) else v for k, v in table.items()}
    with pytest.raises(BadInput, match=message):
        edgeworthy.run(f"{folder}/nets.py:pixels", folder / "out", stages=("validate",), validate=told)
    assert not (folder / "out").exists()
