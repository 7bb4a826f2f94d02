"""A run that is killed or interrupted in the middle: nothing half-written, no orphans, and the next one goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from edgeworthy import files

MOMENTS = ("model.onnx", ".edgeworthy/convert.json", ".edgeworthy/quantize.static_wi8_ai8.json")
"""Files whose appearance says how far a run is: exporting ends, quantizing begins, measuring begins."""


@pytest.fixture
def command(net: Path, tmp_path: Path) -> list[str]:
    return [
        sys.executable, "-m", "edgeworthy", "run", f"{net}/net.py:make", "-o", str(tmp_path / "out"),
        "--to", "tflite", "--scheme", "int8", "--calibration", str(net / "calibration.npz"),
        "--target", "onnxruntime,tflite", "--seconds", "0.05",
    ]  # fmt: skip


def started(command: list[str], moment: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not moment.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def assert_whole(out: Path) -> None:
    """Every visible file that a record speaks of is what the record says; the others are models that parse."""
    recorded: dict[str, str] = {}
    for path in (out / ".edgeworthy").glob("*.json"):
        recorded |= json.loads(path.read_text())["files"]
    for path in visible(out):
        if path.name in recorded:
            assert files.sha256(path) == recorded[path.name], path
        elif path.suffix == ".tflite":
            assert path.read_bytes()[4:8] == b"TFL3"


def visible(out: Path) -> Iterator[Path]:
    return (p for p in out.iterdir() if not p.name.startswith("."))


def finish(command: list[str]) -> dict[str, object]:
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_leaves_nothing_half_and_is_taken_up(command: list[str], tmp_path: Path, moment: str) -> None:
    out = tmp_path / "out"
    process = started(command, out / moment)
    children = descendants(process)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert_whole(out)
    report = finish(command)
    kept = str(report["notes"])
    for stage in ("export", "convert", "quantize.static_wi8_ai8")[: MOMENTS.index(moment)]:
        assert stage in kept
    assert not [p for p in out.rglob("*") if p.name.endswith((".part", ".old"))]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("moment", MOMENTS[1:])
def test_an_interrupted_run_says_so_and_cleans_up(
    command: list[str], tmp_path: Path, moment: str, sent: signal.Signals, code: int
) -> None:
    out = tmp_path / "out"
    process = started(command, out / moment)
    children = descendants(process)
    process.send_signal(sent)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert stdout == ""
    assert stderr == "error: interrupted, nothing half-written; the same command goes on from here\n"
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert_whole(out)
    assert not [p for p in out.rglob("*") if p.name.endswith((".part", ".old", "weights.pt"))]


FULL_DISK = """
mount -t tmpfs -o size={size} tmpfs {folder} || exit 99
{command}
code=$?
find {folder} -mindepth 1 -not -path '*/.edgeworthy*'
exit $code
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
@pytest.mark.parametrize("kilobytes", [4, 24])
def test_a_full_disk(command: list[str], tmp_path: Path, kilobytes: int) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    quoted = " ".join(f"'{part}'" for part in command).replace(str(tmp_path / "out"), str(disk / "out"))
    script = FULL_DISK.format(size=f"{kilobytes}k", folder=disk, command=quoted)
    ran = subprocess.run(["unshare", "--mount", "bash", "-c", script], capture_output=True, text=True, check=False)
    if ran.returncode == 99 or "unshare failed" in ran.stderr:
        pytest.skip("this machine lets nobody mount")
    assert ran.returncode == 2, ran.stderr
    assert re.match("error: .*(disk is full|weights can't be written)", ran.stderr)
    assert "Traceback" not in ran.stderr
    assert not [line for line in ran.stdout.splitlines() if ".part" in line]
