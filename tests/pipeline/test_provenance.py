"""What a report says about where a run came from: hashes that other tools give too, and git's own answer."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from edgeworthy import run
from edgeworthy.pipeline import provenance
from edgeworthy.settings import load_config
from edgeworthy.validate import report as reports

LINEAR = "import torch\ndef make():\n    net = torch.nn.Linear(4, 3)\n    net.example_inputs = (torch.ones(1, 4),)\n"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_report_has_the_commit_and_the_hashes_of_all_inputs(net: Path) -> None:
    git(net, "init", "-q")
    git(net, "add", "net.py", "helper.py")
    git(net, "commit", "-qm", "a model")
    spec, data = f"{net / 'net.py'}:make", net / "calibration.npz"
    quantize = {"schemes": ["int8"], "calibration": str(data)}
    tables = {"convert": {"to": ["tflite"]}, "quantize": quantize, "targets": ["tflite"]}
    made = run(spec, net / "out", stages=("quantize", "validate"), validate={"labelled": str(net / "labelled.npz")},
               **tables)  # fmt: skip
    assert made.revision
    assert (made.revision.commit, made.revision.changed) == (git(net, "rev-parse", "HEAD"), False)
    found = {i.role: i for i in made.inputs}
    assert list(found) == ["source", "calibration", "labelled"]
    assert (found["source"].name, found["source"].what) == (spec, "weights, code")
    assert (found["calibration"].sha256, found["calibration"].what) == (sha256(data), "file")
    assert found["labelled"].sha256 == sha256(net / "labelled.npz")
    page = reports.html(made)
    for said in (made.revision.commit, *(i.sha256 for i in made.inputs), f"edgeworthy {made.edgeworthy}"):
        assert said in page
    source = net / "net.py"
    source.write_text(source.read_text().replace("self.scale = 1.0", "self.scale = 2.0"))
    again = run(spec, net / "out", stages=("quantize",), **tables)
    assert again.revision
    assert again.revision.changed
    assert again.inputs[0].sha256 != found["source"].sha256, "other code is another source"


def test_a_stage_hashes_only_what_it_reads(net: Path) -> None:
    """An export needs no calibration data; a sample brings its own, which has no file to hash."""
    made = run(f"{net / 'net.py'}:make", net / "out", stages=("export",), quantize={"calibration": "none.npz"})
    assert [i.role for i in made.inputs] == ["source"]
    convert = {"to": ["tflite"]}
    made = run("sample:linear_regression", net / "line", stages=("quantize",), convert=convert)
    found = {i.role: i for i in made.inputs}
    assert found["calibration"].name == "sample:linear_regression"
    assert len(found["calibration"].sha256) == 64


@pytest.mark.parametrize("broken", [False, True])
def test_no_repository_and_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool) -> None:
    source = tmp_path / "net.py"
    source.write_text(LINEAR)
    if broken:
        git(tmp_path, "init", "-q")
        monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    else:
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    config = load_config(None, {"model": {"source": f"{source}:make"}, "output": tmp_path})
    assert provenance.revision(config) is None
