"""Places that results can't be written to: no folder, in use, full; and a standard output that takes nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from . import models
from .sandbox import Sandbox

CONVERT = ("convert", "model.onnx", "--to", "tflite", "-o")


@pytest.fixture
def here(sandbox: Sandbox) -> Sandbox:
    """A sandbox with a good model."""
    models.write(sandbox.folder / "model.onnx")
    return sandbox


@pytest.mark.parametrize("output", ["model.onnx", "model.onnx/out", "new/" + "x" * 300, "/proc/out", "/dev/null"])
def test_what_is_no_folder_and_can_be_none(here: Sandbox, output: str) -> None:
    error = here.refused(*CONVERT, output)
    assert "can't use this as the output folder" in error.what
    assert error.where == output


def test_a_folder_in_the_place_of_a_file(here: Sandbox) -> None:
    (here.out / "model_float32.tflite" / "mine").mkdir(parents=True)
    error = here.refused(*CONVERT, "out")
    assert error.what == "can't write here: Is a directory"
    assert error.where == "out/model_float32.tflite"


def test_samples_into_a_file(here: Sandbox) -> None:
    assert "can't write here" in here.refused("samples", "linear_regression", "-o", "model.onnx").what


def test_an_output_folder_in_use(here: Sandbox) -> None:
    holder = """
import time
from pathlib import Path
from edgeworthy.pipeline.cache import Workspace
with Workspace(Path("out")):
    print("in", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", holder], cwd=here.folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "in\n"
        try:
            assert here.refused(*CONVERT, "out").what == "another run is writing to this folder"
        finally:
            process.kill()
    assert here.run(*CONVERT, "out").returncode == 0


def test_an_output_that_is_there_twice(here: Sandbox) -> None:
    """Two runs at a time: one works, the other is refused, whoever is first."""
    first, second = (here.start(*CONVERT, "out") for _ in range(2))
    codes = sorted((process.communicate(timeout=120), process.returncode)[1] for process in (first, second))
    assert codes in ([0, 2], [0, 0])  # the second may come when the first has ended
    assert (here.out / "model_float32.tflite").exists()


DISK = """
mount -t tmpfs -o size={size} tmpfs disk || exit 99
{python} -m edgeworthy {command} -o disk/out
code=$?
find disk -mindepth 1 -type f
exit $code
"""


@pytest.mark.parametrize(
    ("command", "size", "left"),
    [
        ("export", "1m", []),
        ("convert --to tflite", "1m", []),
        ("convert --to tflite,saved_model", "7m", []),
        ("quantize --to tflite --scheme float16", "7m", ["model_float32.tflite", "convert.json", "lock"]),
    ],
)
def test_a_full_disk(sandbox: Sandbox, command: str, size: str, left: list[str]) -> None:
    """A model of 4.8 MB; stages that were whole before stay, so that the next run goes on from there."""
    models.write(sandbox.folder / "model.onnx", weight=np.random.default_rng(0).random((40, 30_000), np.float32))
    (sandbox.folder / "disk").mkdir()
    name, _, rest = command.partition(" ")
    script = DISK.format(size=size, python=sys.executable, command=f"{name} model.onnx {rest}")
    ran = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script],
        cwd=sandbox.folder,
        env=sandbox.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode == 99 or "unshare failed" in ran.stderr:
        pytest.skip("mounting a small disk is not permitted here")
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.startswith("error: the disk is full\n  at: disk/out")
    assert sorted(Path(line).name for line in ran.stdout.split()) == sorted(left)
    assert sandbox.processes() == []
    assert sandbox.temporary_files() == []


@pytest.mark.parametrize(
    ("redirect", "code", "said"),
    [
        (">/dev/full", 2, "error: can't write to standard output: No space left on device\n"),
        ("--json >/dev/full", 2, "error: can't write to standard output: No space left on device\n"),
        (">&-", 0, ""),
        ("2>&-", 0, ""),
    ],
)
def test_a_standard_output_that_takes_nothing(sandbox: Sandbox, redirect: str, code: int, said: str) -> None:
    command = f"'{sys.executable}' -m edgeworthy samples {redirect}"
    ran = subprocess.run(command, shell=True, cwd=sandbox.folder, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (code, said)


def test_a_reader_that_goes_away(here: Sandbox) -> None:
    process = here.start("inspect", "model.onnx", "--json")
    assert process.stdout
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == ""
    begin = time.monotonic()
    assert process.wait(60) == 141
    assert time.monotonic() - begin < 60
