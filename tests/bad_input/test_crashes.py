"""Native code that ends its process, or never comes back: in a runtime's worker, and in the command itself."""

from __future__ import annotations

import json

import pytest

from .sandbox import Sandbox

NET = """
import os, sys, time
import torch


class Net(torch.nn.Module):
    def __init__(self, act, where):
        super().__init__()
        self.fc = torch.nn.Linear(4, 3)
        self.act, self.where = act, where

    def forward(self, x):
        if not torch.compiler.is_compiling() and sys.argv[0].endswith(self.where):
            self.act()
        return self.fc(x)


def make(act, where="worker.py"):
    net = Net(act, where)
    net.example_inputs = {"x": torch.ones(1, 4)}
    return net


def aborts():
    return make(os.abort)


def hangs():
    return make(lambda: time.sleep(600))


def aborts_at_once():
    return make(os.abort, where="")
"""
ARGUMENTS = ("-o", "out", "--to", "tflite", "--scheme", "float16", "--target", "pytorch,onnxruntime")


@pytest.fixture
def here(sandbox: Sandbox) -> Sandbox:
    """A sandbox with net.py."""
    (sandbox.folder / "net.py").write_text(NET)
    return sandbox


def test_a_runtime_that_crashes_is_a_row_that_says_so(here: Sandbox) -> None:
    done = here.run("validate", "net.py:aborts", *ARGUMENTS, "--json")
    assert (done.returncode, done.stderr) == (1, "")
    hops = {hop["name"]: hop for hop in json.loads(done.stdout)["parity"]["hops"]}
    assert hops["PyTorch"]["status"] == "error"
    assert "crashed with SIGABRT in run" in hops["PyTorch"]["failure"]
    assert "net.py:15 in forward" in hops["PyTorch"]["failure"]
    assert hops["ONNX Runtime"]["status"] in ("pass", "reference")


def test_a_runtime_that_hangs_is_a_row_that_says_so(here: Sandbox) -> None:
    done = here.run("bench", "net.py:hangs", *ARGUMENTS, "--seconds", "0.05", "--timeout", "8")
    assert (done.returncode, done.stderr) == (1, "")
    assert "✗ PyTorch: pytorch hung: time took more than 8 s (timeout)" in done.stdout
    assert "net.py:15 in forward" in done.stdout


def test_a_crash_of_the_command_itself_is_told(here: Sandbox) -> None:
    done = here.run("export", "net.py:aborts_at_once", "-o", "out")
    assert (done.returncode, done.stdout) == (70, "")
    assert done.stderr.startswith("error: native code crashed with SIGABRT\n  at: ")
    assert "net.py:15\n" in done.stderr
    assert [path.name for path in here.out.iterdir()] == [".edgeworthy"]
