"""Calibration data in a whole run: what looks wrong is said beforehand, and what was used is kept and hashed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgeworthy
from edgeworthy.config import Config, ModelTable
from edgeworthy.errors import BadInput
from edgeworthy.pipeline import manifest
from edgeworthy.pipeline.run import run_config
from edgeworthy.quantize_tables import DataTable, QuantizeTable
from edgeworthy.validate.results import Report

TRAINED = """

class Trained(Net):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.norm = nn.BatchNorm2d(WIDTH, momentum=None)
        with torch.no_grad():
            for _ in range(20):
                self.norm(self.conv(torch.rand(8, 1, 4, 4)))

    def forward(self, image):
        return self.head(torch.relu(self.norm(self.conv(image))).flatten(1))


trained = Trained
"""


class Listening:
    """Progress that keeps what it is told, in order."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def stage(self, name: str, what: str = "") -> Any:
        from contextlib import nullcontext

        self.heard.append(name)
        return nullcontext()

    def step(self, what: str, done: int, total: int) -> None: ...

    def taken_over(self, seconds: float) -> None: ...

    def warn(self, text: str) -> None:
        self.heard.append(f"⚠ {text}")


def quantized(net: Path, out: Path, progress: Any = None, **table: Any) -> Report:
    data: dict[str, Any] = {"schemes": ["int8"], "calibration": str(net / "calibration.npz")} | table
    config = Config(
        output=out,
        model=ModelTable(source=data.pop("source", f"{net}/net.py:make"), inputs=data.pop("inputs", [])),
        quantize=QuantizeTable(**data),
        data=DataTable(timeout_s=5.0),
    )
    return run_config(config, stages=("quantize",), progress=progress)


def test_raw_pixels_into_a_trained_net_are_told_before_the_work(net: Path, tmp_path: Path) -> None:
    """Nobody gave an example; the batch normalization remembers, though."""
    with (net / "net.py").open("a") as file:
        file.write(TRAINED)
    raw = np.random.default_rng(0).integers(0, 256, (40, 1, 4, 4)).astype(np.float32)
    told: dict[str, list[str]] = {}
    source = {"source": f"{net}/net.py:trained", "inputs": ["image:float32[1,1,4,4]"]}
    for name, data in (("raw", raw), ("scaled", raw / np.float32(255))):
        np.savez(net / f"{name}.npz", image=data)
        listening = Listening()
        report = quantized(net, tmp_path / name, listening, calibration=str(net / f"{name}.npz"), **source)
        warnings = [line for line in listening.heard if line.startswith("⚠")]
        told[name] = [line.removeprefix("⚠ ") for line in warnings]
        assert told[name] == report.warnings[: len(warnings)], "those that the result brings come after them"
        assert all(listening.heard.index(w) < listening.heard.index("export") for w in warnings)
        assert not [note for note in report.notes if "nothing says what range" in note]
    assert any("batch normalization sees values" in w and "times as wide as in training" in w for w in told["raw"])
    assert any("as raw pixels" in w for w in told["raw"])
    assert told["scaled"] == []


def test_where_nothing_says_what_the_range_is_that_is_said(net: Path, tmp_path: Path) -> None:
    report = quantized(net, tmp_path / "out", inputs=["image:float32[1,1,4,4]"], source=_plain(net))
    assert [note for note in report.notes if "nothing says what range 'image' has" in note]
    assert [w for w in report.warnings if w.startswith("16 calibration samples are few")]


def _plain(net: Path) -> str:
    """The net without example inputs."""
    (net / "bare.py").write_text((net / "net.py").read_text().replace("    net.example_inputs", "    unused"))
    return f"{net}/bare.py:make"


def test_what_was_used_is_kept_and_gives_the_same_bytes(net: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.npz"
    first = quantized(net, tmp_path / "one", samples=8, save_calibration=kept)
    again = quantized(net, tmp_path / "two", calibration=str(kept))
    (one, two) = (report.quantization[0].calibration for report in (first, again))
    assert one and two and one.saved
    assert one.sha256 == two.sha256 and len(one.sha256) == 64
    assert one.saved.sha256 == edgeworthy.files.sha256(kept)  # type: ignore[attr-defined]
    assert (one.samples, two.samples) == (8, 8)
    files = [tmp_path / name / first.artifacts[-1].path for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()
    stored = Report.model_validate_json((tmp_path / "one" / "report.json").read_text())
    assert stored.quantization[0].calibration == one
    written = manifest.write(first, tmp_path, source="", inputs=[], tools={})
    assert json.loads(written.read_text())["calibration"] == one.sha256
    with np.load(kept) as archive, np.load(net / "calibration.npz") as data:
        used = np.linspace(0, 15, 8).round().astype(int)
        rest = np.setdiff1d(np.arange(16), used)
        np.testing.assert_array_equal(archive["image"], data["image"][[*used, *rest]])


def test_a_set_is_kept_of_a_result_that_was_taken_over(net: Path, tmp_path: Path) -> None:
    quantized(net, tmp_path / "out")
    quantized(net, tmp_path / "out", save_calibration=tmp_path / "kept.npz")
    with np.load(tmp_path / "kept.npz") as archive:
        assert archive["image"].shape == (16, 1, 4, 4)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"save_calibration": Path("kept.npy")}, "doesn't end in"),
        ({"save_calibration": Path("kept.npz"), "schemes": ["float16"]}, "nothing to save"),
    ],
)
def test_what_cant_be_kept(net: Path, tmp_path: Path, table: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        quantized(net, tmp_path / "out", **table)
    assert not (tmp_path / "out").exists()


def test_python_hands_data_over(net: Path, tmp_path: Path) -> None:
    with np.load(net / "calibration.npz") as archive:
        images = archive["image"]

    def samples() -> Iterator[Any]:
        for number, image in enumerate(images):
            yield image, number % 3

    report = edgeworthy.quantize(  # type: ignore[operator]
        f"{net}/net.py:make", tmp_path / "out", quantize={"schemes": ["int8"], "calibration": samples()}
    )
    data = report.quantization[0].calibration
    assert data and data.description == "a generator: 16 samples"
    assert [(i.role, i.name) for i in report.inputs if i.role == "calibration"] == [("calibration", "a generator")]


def test_a_hung_generator_ends_the_command(net: Path, tmp_path: Path) -> None:
    (net / "data.py").write_text("import time\n\ndef hangs():\n    time.sleep(600)\n    yield 1\n")
    words = ["quantize", f"{net}/net.py:make", "-o", str(tmp_path / "out"), "--scheme", "int8", "--json"]
    words += ["--calibration", f"{net}/data.py:hangs", "--data-timeout", "1"]
    ran = subprocess.run(
        [sys.executable, "-m", "edgeworthy", *words], capture_output=True, text=True, check=False, timeout=200
    )
    error = json.loads(ran.stdout)
    assert (ran.returncode, error["exit_code"]) == (2, 2)
    assert "sample 0 took more than 1 s" in error["what"] and "--data-timeout" in error["remedy"]
    assert not (tmp_path / "out").exists()


def test_an_unreadable_image_in_the_middle_is_named_before_anything_is_made(net: Path, tmp_path: Path) -> None:
    for number in range(9):
        Image.new("L", (4, 4), number * 20).save(tmp_path / f"{number}.png")
    (tmp_path / "4.png").write_bytes((tmp_path / "4.png").read_bytes()[:40])
    out = tmp_path / "out"
    with pytest.raises(BadInput, match="can't read the image") as caught:
        quantized(net, out, calibration=str(tmp_path), preprocess={"colour": "grey"})
    assert caught.value.where == str(tmp_path / "4.png")
    assert not out.exists()


@pytest.mark.parametrize(("labels", "said"), [(np.arange(16) % 3, True), (np.zeros((16, 4, 4), int), False)])
def test_classes_of_labelled_data_are_missed(net: Path, labels: Any, said: bool) -> None:
    """Of pixels there is no class of a sample."""
    from edgeworthy.config import ValidateTable
    from edgeworthy.pipeline.inputs import Inputs

    with np.load(net / "calibration.npz") as archive:
        image = archive["image"]
    np.savez(net / "calibration.npz", image=image, labels=np.arange(16) % 2)
    np.savez(net / "labelled.npz", image=image, labels=labels)
    config = Config(
        model=ModelTable(source=f"{net}/net.py:make"),
        quantize=QuantizeTable(schemes=["int8"], calibration=str(net / "calibration.npz")),
        validate=ValidateTable(
            labelled=str(net / "labelled.npz"), accuracy="classification" if labels.ndim == 1 else "segmentation"
        ),
    )
    found = [str(finding) for finding in Inputs(config, ["validate"]).findings]
    assert any("no calibration sample is of 1 of 3 classes (2)" in text for text in found) == said
