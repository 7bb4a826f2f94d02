"""Samples of WAV files: windows, channels and widths, against values that were written."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.data.forms import Reading
from edgeworthy.errors import BadInput
from edgeworthy.quantize.calibration import load_calibration

MONO = TensorSpec("sound", "float32", (1, 4))
AT = Reading(sample_rate=16000)


def wav(path: Path, frames: Any, rate: int = 16000, width: int = 2) -> Path:
    """``frames``: [time, channels] in -1…1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = np.asarray(frames, np.float64)
    frames = frames.reshape(len(frames), -1)
    scaled = np.clip(np.rint(frames * 2 ** (8 * width - 1)), -(2 ** (8 * width - 1)), 2 ** (8 * width - 1) - 1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(frames.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        if width == 1:
            file.writeframes((scaled + 128).astype(np.uint8).tobytes())
        else:
            little = scaled.astype("<i4").ravel().view(np.uint8).reshape(-1, 4)
            file.writeframes(little[:, :width].tobytes())
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_windows_of_every_width(tmp_path: Path, width: int) -> None:
    sound = np.array([-1, -0.5, 0, 0.5, 0.75, -0.25, 0.125, 0, 0.5, 0.5])
    found = load_calibration(wav(tmp_path / "a.wav", sound, width=width), (MONO,), how=AT)
    assert [f["sound"].tolist() for f in found] == [[list(sound[:4])], [list(sound[4:8])]]
    assert "2 windows; 16000 Hz, 4 frames, mono" in found.description


@pytest.mark.parametrize(
    ("shape", "left", "right"),
    [((1, 2, 4), [[0.5, 0, 0, 1]], [[0.25, 0, 0, -1]]), ((1, 4, 2), None, None), ((1, 1, 4), None, None)],
)
def test_channels_go_where_the_input_has_them(tmp_path: Path, shape: Any, left: Any, right: Any) -> None:
    frames = np.array([[0.5, 0.25], [0, 0], [0, 0], [0.96875, -1]])
    path = wav(tmp_path / "a.wav", frames)
    (feed,) = load_calibration(path, (TensorSpec("sound", "float32", shape),), how=AT)
    want = {(1, 2, 4): frames.T, (1, 4, 2): frames, (1, 1, 4): frames.mean(1)[None]}[shape]
    np.testing.assert_array_equal(feed["sound"][0], want.astype(np.float32))


def test_mono_is_doubled_and_short_files_are_filled_up(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", [0.5, -0.5])
    (feed,) = load_calibration(path, (TensorSpec("sound", "float32", (1, 4, 2)),), how=AT)
    assert feed["sound"][0].tolist() == [[0.5, 0.5], [-0.5, -0.5], [0, 0], [0, 0]]


def test_a_file_each_for_a_dynamic_length_and_int16_as_it_is(tmp_path: Path) -> None:
    wav(tmp_path / "s" / "a.wav", [0.5, -0.5, 0.25])
    wav(tmp_path / "s" / "b.wav", [-1.0])
    found = load_calibration(tmp_path / "s", (TensorSpec("sound", "int16", ("n", "time")),), how=AT)
    assert [f["sound"].tolist() for f in found] == [[[16384, -16384, 8192]], [[-32768]]]


def test_folders_are_classes(tmp_path: Path) -> None:
    for name in ("yes", "no"):
        wav(tmp_path / name / "a.wav", np.zeros(8) + 0.5 * (name == "yes"))
    found = load_calibration(tmp_path, (MONO,), how=AT)
    assert found.survey.labels == found.classes == {"yes", "no"}
    assert found.samples == 4


def test_sound_that_cant_be_used(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.zeros(8), rate=44100)

    def refused(how: Reading, where: Path = path, spec: TensorSpec = MONO) -> BadInput:
        with pytest.raises(BadInput) as caught:
            load_calibration(where, (spec,), how=how)
        return caught.value

    unsaid = refused(Reading())
    assert "--sample-rate" in (unsaid.remedy or "") and "there are files of 44100 Hz" in unsaid.details
    other = refused(AT)
    assert other.what == "the sound has 44100 Hz, and the model takes 16000 Hz" and "-ar 16000" in (other.remedy or "")
    assert "takes no sound" in refused(AT, spec=TensorSpec("image", "float32", (1, 3, 8, 8))).what
    content = wav(tmp_path / "b.wav", np.zeros(800)).read_bytes()
    for broken in (content[:20], b"", b"XXXX" + content[4:], content[:400]):
        (tmp_path / "b.wav").write_bytes(broken)
        error = refused(AT, tmp_path / "b.wav")
        assert "can't read the sound" in error.what and error.where == str(tmp_path / "b.wav")
    (tmp_path / "mixed").mkdir()
    wav(tmp_path / "mixed" / "a.wav", np.zeros(8))
    (tmp_path / "mixed" / "a.png").touch()
    assert "images and sound" in refused(AT, tmp_path / "mixed").what
