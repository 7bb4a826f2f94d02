"""Ctrl-C and SIGKILL in the middle, through the command line: nothing half-written, and the next run takes over."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from . import models
from .sandbox import Sandbox

NET = """
import time
from pathlib import Path
import torch


class Net(torch.nn.Module):
    def forward(self, x):
        if not torch.compiler.is_compiling() and not Path("begun").exists():
            Path("begun").touch()
            time.sleep(600)
        return x * 2


def make():
    net = Net()
    net.example_inputs = {"x": torch.ones(1, 4)}
    return net
"""
QUANTIZED = ("model.onnx", "--to", "tflite", "--scheme", "float16")


def _writes(pattern: str) -> Callable[[Sandbox], bool]:
    return lambda sandbox: any(sandbox.out.glob(f".{pattern}.*.part"))


def _measures(sandbox: Sandbox) -> bool:
    return (sandbox.out / ".edgeworthy" / "quantize.float16.json").exists() and len(sandbox.processes(0)) > 2


@dataclass(frozen=True)
class Moment:
    """A command, when it is in the middle of its work, and the stages that are whole by then."""

    arguments: tuple[str, ...]
    reached: Callable[[Sandbox], bool]
    whole: tuple[str, ...] = ()


MOMENTS = {
    "export": Moment(("export", "net.py:make"), lambda sandbox: (sandbox.folder / "begun").exists()),
    "convert": Moment(("convert", "model.onnx", "--to", "tflite"), _writes("model_float32.tflite")),
    "quantize": Moment(("quantize", *QUANTIZED), _writes("model_float16.tflite"), ("convert",)),
    "bench": Moment(
        ("bench", *QUANTIZED, "--target", "tflite", "--seconds", "0.5"), _measures, ("convert", "quantize.float16")
    ),
}


@pytest.fixture
def here(sandbox: Sandbox) -> Sandbox:
    """A sandbox with a module that takes its time, and an ONNX file of 64 MB, which takes its own."""
    (sandbox.folder / "net.py").write_text(NET)
    weight = np.random.default_rng(0).random((models.ROWS, 400_000), np.float32)
    models.write(sandbox.folder / "model.onnx", weight=weight)
    return sandbox


def started(sandbox: Sandbox, moment: Moment) -> subprocess.Popen[str]:
    process = sandbox.start(*moment.arguments, "-o", "out")
    deadline = time.monotonic() + 120
    while not moment.reached(sandbox):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return process


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("stage", MOMENTS)
def test_in_the_middle(here: Sandbox, stage: str, sent: signal.Signals) -> None:
    moment = MOMENTS[stage]
    process = started(here, moment)
    process.send_signal(sent)
    stdout, stderr = process.communicate(timeout=60)
    assert stdout == ""
    assert here.processes() == []
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert stderr == "error: interrupted, nothing half-written; the same command goes on from here\n"
        assert here.temporary_files() == []
        assert not list(here.out.rglob("*.part"))
    done = here.start(*moment.arguments, "-o", "out", "--json")
    stdout, stderr = done.communicate(timeout=120)
    assert (done.returncode, stderr) == (0, "")
    report = json.loads(stdout)
    assert all(name in str(report["notes"]) for name in moment.whole)
    assert not list(here.out.rglob("*.part"))


def test_an_interrupt_before_anything_has_begun(sandbox: Sandbox) -> None:
    """While Python and the command line are still being imported."""
    for delay in (0.05, 0.15, 0.3):
        process = sandbox.start("convert", "none.onnx", "-o", "out")
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        assert stdout == ""
        if delay > 0.1:  # before, it is Python's own start that is interrupted
            assert process.returncode in (130, 2)
            assert "Traceback" not in stderr
