"""The quantization benchmark's own arithmetic; the measuring is for `python benchmarks/quantization.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeworthy.benchmarks import quantization
from edgeworthy.benchmarks.quantized import make, packages, page, sounds
from edgeworthy.benchmarks.quantized.bars import missed
from edgeworthy.benchmarks.quantized.clock import clock
from edgeworthy.benchmarks.quantized.forms import FORMS
from edgeworthy.benchmarks.quantized.judge import judge
from edgeworthy.benchmarks.quantized.make import Made, Making, Origin
from edgeworthy.benchmarks.quantized.models import SUBJECTS
from edgeworthy.benchmarks.quantized.rows import Row
from edgeworthy.pipeline import fingerprint
from edgeworthy.tests.quantize.conftest import normal_feeds
from edgeworthy.tests.quantize.tflite_graph import conv_net

GOOD = Row("net", "int8", file="q", worst_db=20.0, latency=0.5, size=0.26, convolutional=True, float_mb=4.0)
ENGINE = replace(GOOD, by="TensorFlow", worst_db=20.2)
ROOT = Path(make.__file__).parents[2]
NOW, THEN = Origin("abc", 32, 8), Origin("old", 16, 8)


def test_a_model_within_all_bars_misses_none() -> None:
    assert missed([GOOD, ENGINE, replace(GOOD, scheme="repaired", worst_db=25.0)]) == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([replace(GOOD, worst_db=19.8), ENGINE], "net: int8: 19.8 dB, and TensorFlow by itself has 20.2 dB"),
        ([GOOD, replace(GOOD, scheme="repaired", worst_db=24.9)], "net: repaired: 24.9 dB < 25 dB"),
        (
            [replace(GOOD, worst_db=19.8, latency=None), ENGINE],
            "net: int8: 19.8 dB, and TensorFlow by itself has 20.2 dB",
        ),
        ([replace(GOOD, latency=1.2)], "net: int8: 1.20 × the float time"),
        ([replace(GOOD, size=0.3)], "net: int8: 30% of the float file's size"),
        ([GOOD, Row("net", "float16", failure="it died")], "net: float16: it died"),
    ],
)
def test_each_bar_is_said_when_it_is_missed(rows: list[Row], said: str) -> None:
    assert missed(rows) == [said]


@pytest.mark.parametrize("change", [{"convolutional": False}, {"float_mb": 0.9}])
def test_size_is_asked_of_large_convolutional_nets_alone(change: dict[str, float]) -> None:
    assert missed([replace(GOOD, size=0.4, **change)]) == []  # type: ignore[arg-type]


def test_an_engine_that_fails_is_no_bar() -> None:
    assert missed([GOOD, replace(ENGINE, failure="it died", worst_db=None)]) == []


def test_the_tables_show_every_model_and_a_failure_as_such(tmp_path: Path) -> None:
    rows = [replace(GOOD, model="lstm"), replace(ENGINE, model="lstm"), Row("gru", "int8", failure="a | b\nc")]
    text = page.markdown(rows, missed(rows), "python it", NOW)
    assert "| lstm | 20.0 | 0.50 | 26% | – | – | 20.2 | – | – | – | – |" in text
    assert "| gru | **failed** |" in text and "- gru: int8: a   b c" in text.replace("a b", "a   b")
    file = tmp_path / "page.md"
    file.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    page.put(file, text)
    assert file.read_text() == f"before\n{page.BEGIN}\n\n{text}\n{page.END}\nafter\n"


def test_a_page_with_marks_that_are_not_there_once_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    twice = f"{page.BEGIN}\n{page.END}\nkept\n{page.BEGIN}\n{page.END}\n"
    file.write_text(twice)
    with pytest.raises(ValueError, match="once each"):
        page.put(file, "new")
    assert file.read_text() == twice


def test_a_file_beside_itself_is_exact_as_large_and_as_fast(tmp_path: Path) -> None:
    model = conv_net(tmp_path / "m.tflite")
    np.savez(tmp_path / "f.npz", image=np.stack([feed["image"] for feed in normal_feeds(model, 3, seed=0)]))
    found = judge(model.path, model.path, tmp_path / "f.npz")
    assert (found.worst_db, found.size, found.agreement, found.convolutional) == (200.0, 1.0, 1.0, True)
    base, again = clock([model.path, model.path], tmp_path / "f.npz")
    assert 0.3 < again / base < 3


class Children:
    """The benchmark's processes: what they are told is kept, and they write what such a process writes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ran = folder, []  # type: tuple[Path, list[str]]

    def __call__(self, module: str, arguments: list[str], _: float) -> str:
        self.ran.append(module)
        if module == "make":
            files = (Made("int8", "a.tflite"), Made("both", failure="it died"))
            Making(Origin("abc", *map(int, arguments[2:])), files).write(self.folder)
        elif module == "judge":
            figures = {"sqnr_db": 30.0, "worst_db": 30.0, "size": 0.25, "float_mb": 1.0}
            Path(arguments[3]).write_text(json.dumps(figures))
        elif module == "clock":
            Path(arguments[1]).write_text(json.dumps([100.0] + [50.0 * len(self.ran)] * len(arguments[3:])))
        return ""


def _phase(folder: Path, origin: Origin, *, time: bool = True, stale: bool = False, anew: bool = False) -> list[Row]:
    made = quantization.made_by("net", folder, origin, anew=False, stale=stale)
    rows = quantization.judged("net", folder, made, origin)
    return quantization.timed(folder, rows, anew=anew) if time else rows


def test_files_are_made_in_one_run_and_timed_in_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children = Children(tmp_path)
    monkeypatch.setattr(quantization, "_child", children)
    for _ in range(2):
        rows = _phase(tmp_path, NOW, time=False)
        assert children.ran == ["make", "judge"]
        assert [(row.worst_db, row.latency, row.failure) for row in rows] == [(30, None, ""), (None, None, "it died")]
    for _ in range(2):
        assert [row.latency for row in _phase(tmp_path, NOW)] == [1.5, None]
        assert children.ran == ["make", "judge", "clock"]
    assert [row.latency for row in _phase(tmp_path, NOW, anew=True)] == [2.0, None]


def test_what_other_code_made_is_said_and_made_again_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children = Children(tmp_path)
    monkeypatch.setattr(quantization, "_child", children)
    _phase(tmp_path, NOW)
    for origin in (THEN, replace(NOW, samples=64)):
        rows = [replace(row, model="lstm") for row in _phase(tmp_path, origin)]
        said = "Made earlier, by code abc, 32 samples and 8 others: lstm."
        assert said in page.markdown(rows, [], "python it", origin)
    assert children.ran == ["make", "judge", "clock"]
    assert [row.origin for row in _phase(tmp_path, NOW, stale=True)] == ["", ""]
    assert children.ran == ["make", "judge", "clock"]
    (tmp_path / "leftover").touch()
    assert _phase(tmp_path, replace(NOW, samples=64), stale=True)[0].latency == 3.0
    assert children.ran[3:] == ["make", "judge", "clock"] and not (tmp_path / "leftover").exists()


def test_what_decides_on_a_files_bytes_is_there() -> None:
    assert all((ROOT / part).exists() for part in make._MAKERS)
    assert len({fingerprint.of_code(), *map(fingerprint.of_code, make._MAKERS)}) == 1 + len(make._MAKERS)


def test_spectra_are_those_of_pytorch_and_of_transformers() -> None:
    signal = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    window = torch.hann_window(400, dtype=torch.float64)
    stft = torch.stft(torch.from_numpy(signal).double(), 400, 160, window=window, return_complex=True)
    wanted = stft.abs().numpy().T ** 2
    np.testing.assert_allclose(sounds.power(signal, 400, 160), wanted, rtol=1e-6, atol=1e-9)
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(201, 40, 0, 8000, 16_000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(sounds.mel(signal, 400, 160, 40), wanted @ bank, rtol=1e-4, atol=1e-9)


def test_what_a_package_is_pinned_to_is_a_hash() -> None:
    pinned = [value for value in vars(packages).values() if isinstance(value, packages.Package)]
    assert len(pinned) > 4
    assert all(len(bytes.fromhex(package.sha256)) == 32 and package.take for package in pinned)
    assert len({package.name for package in pinned}) == len(pinned)


def test_names_are_of_one_thing() -> None:
    assert len({form.name for form in FORMS}) == len(FORMS)
    assert sum(subject.trained for subject in SUBJECTS.values()) >= 5


@pytest.mark.parametrize("name", ["mobilenet_v2", "bert_small", "lstm", "digits_cnn"])
def test_held_out_samples_are_others(name: str) -> None:
    sets = [SUBJECTS[name].feeds(4, seed) for seed in (0, 1)]
    seen = {b"".join(array.tobytes() for array in feed.values()) for feeds in sets for feed in feeds}
    assert len(seen) == 8
    again = SUBJECTS[name].feeds(4, 0)
    for one, other in zip(sets[0], again, strict=True):
        for key, array in one.items():
            np.testing.assert_array_equal(array, other[key])


def test_it_tells_what_it_takes() -> None:
    program = Path(page.__file__).parents[1] / "quantization.py"
    done = subprocess.run([sys.executable, program, "--help"], capture_output=True, text=True, check=True)
    assert "--held-out" in done.stdout and "silero_vad" in done.stdout
