from __future__ import annotations

import io
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from edgeworthy.artifact import TensorSpec, TFLiteModel
from edgeworthy.errors import BadInput, CheckFailed, NotAvailable, OutOfMemory, RuntimeFailure
from edgeworthy.targets.remote.there import runner as there
from edgeworthy.targets.tflite import TFLite

from .places import Here

BACKEND = """
    import os, subprocess, sys, time

    def version():
        return "7"

    class Numbered:
        inputs = {"x": {"dtype": "float32", "shape": [2]}}
        outputs = {"y": {"dtype": "float32", "shape": [2]}}

        def __init__(self, path, threads):
            print("reading", path, flush=True)
            os.write(1, b"native words on stdout\\n")

        def run(self, arrays):
            code = int(arrays["x"][0])
            os.write(2, b"word number %d\\n" % code)
            if code == 1:
                raise ArithmeticError("one is too many")
            if code == 2:
                os.abort()
            if code == 3:
                os.kill(os.getpid(), 9)
            if code == 4:
                os._exit(9)
            if code == 5:
                subprocess.Popen(["sleep", "1000"])
                time.sleep(1000)
            if code == 6:
                raise MemoryError("no more")
            return {"y": arrays["x"] + 1}

        def receipt(self):
            return {"asked": "none", "ran": "Python", "nodes": 1, "delegated": 0}

    load = Numbered
"""


@pytest.fixture
def model(tmp_path: Path) -> TFLiteModel:
    path = tmp_path / 'it\'s a "model" ü.tflite'
    path.write_bytes(b"")
    return TFLiteModel(path, (TensorSpec("x", "float32", (2,)),), (TensorSpec("y", "float32", (2,)),))


@pytest.fixture
def backend(tmp_path: Path) -> Path:
    import textwrap

    path = tmp_path / "numbered.py"
    path.write_text(textwrap.dedent(BACKEND))
    return path


def feed(number: float) -> dict[str, Any]:
    return {"x": np.float32([number, 0])}


ARRAYS: dict[str, Any] = {
    "": np.zeros((0, 3), np.float32),
    "scalar": np.array(-7, np.int64),
    "bool": np.array([[True], [False]]),
    "half": np.float16([np.nan, -0.0, 65504]),
    "turned": np.arange(6, dtype=np.int8).reshape(2, 3).T,
    "big endian": np.arange(3, dtype=">i4"),
}


def test_arrays_go_over_a_stream_unchanged() -> None:
    stream = io.BytesIO()
    header, blobs = there.pack(ARRAYS)
    there.send(stream, {"do": "run", **header}, blobs)
    stream.seek(0)
    read, arrived = there.receive(stream)
    found = there.unpack(read, arrived)
    assert list(found) == list(ARRAYS) and not stream.read()
    for name, array in ARRAYS.items():
        assert found[name].shape == array.shape and found[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.writeable


@pytest.mark.parametrize("length", [0, 3, 20, -1])
def test_half_a_frame_is_the_end(length: int) -> None:
    stream = io.BytesIO()
    there.send(stream, {"a": 1}, [b"12345"])
    with pytest.raises(EOFError):
        there.receive(io.BytesIO(stream.getvalue()[:length]))


def test_what_is_no_frame_is_not_read_forever() -> None:
    with pytest.raises(ValueError, match="no frame"):
        there.receive(io.BytesIO(b"bash: warning: setlocale: cannot change locale"))


def test_it_runs_litert_as_the_local_target_does(tflite_model: TFLiteModel, tflite_int8: TFLiteModel) -> None:
    target, images = Here(), np.random.default_rng(3).normal(size=(2, 8, 8, 3)).astype(np.float32)
    images[0, 0, 0] = 0, 1e30, -1e30
    for artifact in (tflite_model, tflite_int8):
        there, here = target.load(artifact), TFLite().load(artifact)
        for batch in (2, 1):
            feeds = {"image": images[:batch]}
            np.testing.assert_array_equal(there.run(feeds)["logits"], here.run(feeds)["logits"])
        assert there.elapsed_ns and len(there.time(feeds, 3)) == 3
        assert (there.receipt.ran, there.receipt.nodes) == ("XNNPACK", here.receipt.nodes)
        assert there.receipt.delegated == here.receipt.delegated and there.receipt.fallback == here.receipt.fallback
        peak, before = there.memory()  # type: ignore[misc]
        assert 10e6 < before <= peak < 1e9
    raw = {"image": np.zeros((1, 8, 8, 3), np.int8)}
    assert there.run(raw)["logits"].dtype == np.int8
    np.testing.assert_array_equal(there.run(raw)["logits"], here.run(raw)["logits"])
    with pytest.raises(BadInput, match="has shape"):
        there.run({"image": images[:, :4]})
    target.runner.close()


def test_a_receipt_that_the_log_contradicts_is_not_believed(tflite_model: TFLiteModel) -> None:
    target = Here()
    target.log_line = "Created another delegate"
    with pytest.raises(CheckFailed, match="delegated nodes, and never printed 'Created another delegate'"):
        target.load(tflite_model)
    target.runner.close()


def test_words_of_native_code_stay_out_of_the_talk(backend: Path, model: TFLiteModel) -> None:
    target = Here(backend)
    loaded = target.load(model)
    np.testing.assert_array_equal(loaded.run(feed(7))["y"], [8, 1])
    assert target.version() == "7" and loaded.receipt.ran == "Python"
    target.runner.close()


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (1, RuntimeFailure, "here raised in run: ArithmeticError: one is too many"),
        (2, RuntimeFailure, "here crashed with SIGABRT in run"),
        (3, OutOfMemory, "here was killed with SIGKILL in run"),
        (4, RuntimeFailure, "here ended with exit code 9 in run"),
        (6, OutOfMemory, "here ran out of memory in run"),
    ],
)
def test_a_failure_there_is_named_and_the_next_load_works(
    backend: Path, model: TFLiteModel, number: int, kind: type[Exception], said: str
) -> None:
    target = Here(backend)
    with pytest.raises(kind, match=said) as failed:
        target.load(model).run(feed(number))
    assert getattr(failed.value, "where", "") == "this machine"
    if kind is RuntimeFailure:
        assert f"word number {number}" in getattr(failed.value, "details", ())
    np.testing.assert_array_equal(target.load(model).run(feed(0))["y"], [1, 1])
    target.runner.close()


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_a_host_that_goes_takes_a_run_that_hangs_with_it(backend: Path, model: TFLiteModel) -> None:
    target = Here(backend)
    loaded = target.load(model)
    header, blobs = there.pack(feed(5))
    pipe = target.runner._pipe
    there.send(pipe.stdin, {"do": "run", **header}, blobs)
    until = time.monotonic() + 20
    while not any(p.name() == "sleep" for p in descendants()) and time.monotonic() < until:
        time.sleep(0.01)
    started = [p for p in descendants() if p.name() == "sleep" or there.BOOTSTRAP in p.cmdline()]
    assert len(started) == 3  # one serves, one watches, and what the backend started
    begin = time.monotonic()
    target.runner.close()
    assert not psutil.wait_procs(started, timeout=5)[1] and time.monotonic() - begin < 5
    assert loaded


def test_the_one_that_serves_dies_with_the_one_that_watches(backend: Path, model: TFLiteModel) -> None:
    target = Here(backend)
    loaded = target.load(model)
    watcher, server = (p for p in descendants() if there.BOOTSTRAP in p.cmdline())
    watcher.send_signal(signal.SIGKILL)
    assert not psutil.wait_procs([server], timeout=5)[1]
    with pytest.raises(RuntimeFailure, match="here is gone in run: SIGKILL") as gone:
        loaded.run(feed(0))
    assert gone.value.remedy == "see that it is up and reachable, and run it again"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("sh", "-c", "exec no-such-python"), "there is no Python there"),
        (("sh", "-c", "exec /etc/passwd"), "can't be executed"),
        (("/no/such/python",), "can't be started: No such file"),
    ],
)
def test_a_place_without_python_is_told(command: tuple[str, ...], said: str) -> None:
    with pytest.raises(NotAvailable, match=said) as failed:
        Here(command=command).version()
    assert failed.value.where


def test_what_ends_before_the_hello_is_told_with_its_words() -> None:
    with pytest.raises(RuntimeFailure, match="ended with exit code 5 before it could run anything") as failed:
        Here(command=("sh", "-c", "echo account expired; echo for good >&2; exit 5")).version()
    assert failed.value.details == ("account expired", "for good")


def test_a_shell_that_greets_is_overheard() -> None:
    greeting = f'echo Welcome to your board; exec {sys.executable} "$@"'
    target = Here(command=("sh", "-c", greeting, "sh"))
    assert target.runner.place["python"] == ".".join(map(str, sys.version_info[:3]))
    target.runner.close()


def test_a_runtime_that_is_missing_is_told(tmp_path: Path, backend: Path) -> None:
    backend.write_text("def version():\n    import no_such_runtime\n")
    target = Here(backend)
    with pytest.raises(NotAvailable, match="here: No module named 'no_such_runtime'"):
        target.version()
    target.runner.close()


def test_files_of_the_current_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('taken')")
    monkeypatch.chdir(tmp_path)
    target = Here()
    assert target.version() and os.getcwd() == str(tmp_path)  # noqa: PTH109
    target.runner.close()
