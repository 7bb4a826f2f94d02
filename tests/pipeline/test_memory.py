"""Memory runs out, in the command's own process or in one that it started: exit 3 with the peak, and no trace."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from edgeworthy.validate.results import Report

OWN, WORKER = "own", "edgeworthy.quantize.worker"


def command(net: Path, out: Path, name: str, *arguments: str, factory: str = "make") -> list[str]:
    words = [name, f"{net}/net.py:{factory}", "-o", str(out), "--to", "tflite", *arguments]
    return [sys.executable, "-m", "edgeworthy", *words]


def kill(process: subprocess.Popen[str], whom: str, moment: Path) -> None:
    """Send SIGKILL to the command's own process at a moment, or to one that it started."""
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        found = psutil.Process(process.pid).children(recursive=True)
        if whom == OWN and moment.exists():
            return found[0].kill()
        for child in found if whom != OWN else ():
            try:
                if whom in child.cmdline():
                    return child.kill()
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.01)
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("whom", [OWN, WORKER])
def test_a_kill_is_exit_3_with_the_peak_and_the_next_run_goes_on(net: Path, tmp_path: Path, whom: str) -> None:
    out = tmp_path / "out"
    line = command(net, out, "quantize", "--scheme", "int8", "--calibration", str(net / "calibration.npz"))
    process = subprocess.Popen([*line, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    kill(process, whom, out / "model.onnx")
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 3, stderr
    error = json.loads(stdout)
    assert (error["error"], error["exit_code"]) == ("OutOfMemory", 3)
    assert "SIGKILL" in error["what"]
    assert error["remedy"]
    if whom == OWN:  # a worker may be killed before its memory was looked at
        assert 50 < int(re.search(r"it had taken (\d+) MB", error["what"])[1]) < 3000
    assert not (out / "model_int8.tflite").exists()
    again = subprocess.run([*line, "--json"], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert (out / "model_int8.tflite").exists()
    assert not [p for p in out.rglob("*") if p.name.endswith((".part", ".old"))]


DIES = """

class Dies(Net):
    def forward(self, image):
        import os, signal, sys
        if "edgeworthy.targets.worker" in sys.argv and "WELL" not in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(image)


def dies():
    net = Dies()
    net.example_inputs = {"image": torch.ones(1, 1, 4, 4)}
    return net


def greedy():
    import numpy as np
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    return np.ones(2 << 30)
"""


def test_a_row_whose_process_was_killed_is_an_error_and_is_tried_again(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (net / "net.py").open("a") as file:
        file.write(DIES)
    line = command(
        net, tmp_path / "out", "validate", "--scheme", "float16", "--target", "pytorch,onnxruntime", factory="dies"
    )
    for well, code in ((False, 1), (False, 1), (True, 0)):
        if well:
            monkeypatch.setenv("WELL", "1")
        ran = subprocess.run([*line, "--json"], capture_output=True, text=True, check=False)
        assert ran.returncode == code, ran.stdout + ran.stderr
        parity = Report.model_validate_json(ran.stdout).parity
        assert parity
        (hop,) = [h for h in parity.hops if h.name == "PyTorch"]
        assert hop.status == ("reference" if well else "error")
        assert well or "pytorch was killed with SIGKILL in run" in (hop.failure or "")


def test_a_memory_error_of_the_users_code(net: Path, tmp_path: Path) -> None:
    with (net / "net.py").open("a") as file:
        file.write(DIES)
    line = command(net, tmp_path / "out", "export", factory="greedy")
    line = line[: line.index("--to")]
    ran = subprocess.run([*line, "--json"], capture_output=True, text=True, check=False)
    assert ran.returncode == 3, ran.stdout + ran.stderr
    error = json.loads(ran.stdout)
    assert re.match(r"memory ran out; it had taken \d+ MB", error["what"])
    assert any("in greedy" in line for line in error["details"])
    assert not (tmp_path / "out").exists()


def test_debug_shows_the_traceback_of_what_quantizing_raised(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "ai_edge_quantizer.py").write_text("raise ArithmeticError('a broken installation')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken), prepend=os.pathsep)
    monkeypatch.setenv("COLUMNS", "1000")  # no line is broken
    line = command(net, tmp_path / "out", "quantize", "--scheme", "int8", "--calibration", str(net / "calibration.npz"))
    for options in ([], ["--debug"]):
        ran = subprocess.run([*line, *options], capture_output=True, text=True, check=False)
        assert ran.returncode == 1
        assert "ArithmeticError: a broken installation" in ran.stdout
        at = f'File "{broken / "ai_edge_quantizer.py"}", line 1'  # only the child has been there
        assert (at in ran.stdout + ran.stderr) == bool(options)
