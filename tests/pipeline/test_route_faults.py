"""What a converter does wrong, each for real: an error that says it, in time, and nothing left (docs/routes.md)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from edgeworthy.convert.routes import CONVERTERS, worker
from edgeworthy.errors import EdgeworthyError, NotAvailable, OutOfMemory, RuntimeFailure

from .converters import NAMES


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def run(name: str, model: Path, work: Path, timeout_s: float = 60.0) -> worker.ConvertedFile:
    return worker.run(CONVERTERS[name], model, work, timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("screams", "after 200 MB of errors"),
        ("leaves", "ended with exit code 0 in convert"),
        ("empty", "the file is empty"),
        ("text", "not a TFLite flatbuffer"),
        ("folder", "is no tflite"),
        ("linked", "not in the folder that it was given"),
        ("leads", "holds what is no file in its folder"),
        ("huge", "the disk is full"),
        ("answers", "ended with what is no answer in convert"),
        ("speaks", "ended with what is no answer in convert"),
        ("closes", "ended with the end of its socket in convert"),
    ],
)
def test_it_says_what_went_wrong(
    package: Path, model: Path, work: Path, name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeworthy.workers.child._PATIENCE_S", 0.5)
    with pytest.raises(RuntimeFailure, match=said):
        run(name, model, work)


def test_one_that_is_killed(package: Path, model: Path, work: Path) -> None:
    with pytest.raises(OutOfMemory, match="killed with SIGKILL in convert"):
        run("killed", model, work)


def test_what_it_prints_is_no_answer(package: Path, model: Path, work: Path) -> None:
    assert run("chatters", model, work).file.inputs[0].shape == (2, 3)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("free", [None, 64])
def test_a_full_disk_is_named(package: Path, model: Path, small_disk: Path, free: int | None) -> None:
    """Filled by the converter, or before it could begin."""
    if free is not None:
        (small_disk / "others").write_bytes(bytes((4 << 20) - free * 1024))
        onnx_bytes = onnx.load(model)
        onnx_bytes.doc_string = "x" * 200_000
        onnx.save(onnx_bytes, model)
    (small_disk / "work").mkdir()
    with pytest.raises(RuntimeFailure, match="the disk is full") as caught:
        run("fills", model, small_disk / "work")
    assert "free some space" in (caught.value.remedy or "")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_no_file_could_have(package: Path, name: str) -> None:
    assert name not in CONVERTERS and "name is" in CONVERTERS.broken[name]


def test_one_by_the_name_of_ours_is_not_taken_for_it(package: Path, model: Path, work: Path) -> None:
    assert "there is a converter 'direct' already" in CONVERTERS.broken["direct"]
    assert run("direct", model, work).file.outputs[0].shape == (2, 3)


def test_a_python_that_is_gone(package: Path, model: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(NotAvailable, match="can't be started: No such file") as caught:
        run("plain", model, work)
    assert isinstance(caught.value, EdgeworthyError) and caught.value.where == "/nowhere/python"
