"""One child process: what it answers, how it ends, and what is said of that."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from edgeworthy.errors import BadInput, CheckFailed, InternalFault, OutOfMemory, RuntimeFailure, UnsupportedNodes
from edgeworthy.workers import function
from edgeworthy.workers.child import Child
from edgeworthy.workers.processes import memory

SERVED = """
import builtins, os, resource, signal, subprocess, sys, time
import numpy as np
from edgeworthy import errors

def start(tell):
    return {name: f for name, f in globals().items() if callable(f) and name != "start"}

def echo(value): return value
def raise_(name, *arguments, **keywords):
    kind = getattr(errors, name, None) or getattr(builtins, name)
    raise kind(*arguments, **keywords)
def refuse():
    raise errors.UnsupportedNodes([errors.UnsupportedNode("Op", 1, "n", "", "", "why", "how")], where="m.onnx")
def local(): raise type("LocalError", (Exception,), {})(lambda: 0)
def end(number): os.kill(os.getpid(), number)
def leave(code): os._exit(code)
def say_and_abort(text): print(text, flush=True); os.abort()
def say(text): print(text, flush=True)
def flood(megabytes, last):
    line = b"x" * 99 + b"\\n"
    for _ in range(megabytes):
        os.write(1, line * 10_000)
        time.sleep(0.001)
    raise ValueError(last)
def sleep(seconds): time.sleep(seconds)
def keep_a_file():
    import tempfile
    return tempfile.mkstemp()[1]
def unpicklable(): return lambda: 0
def take(megabytes):
    block = np.ones(megabytes * 125_000)
    return float(block[-1])
def take_in_torch(megabytes):
    import torch
    return float(torch.ones(megabytes * 250_000)[0])
def take_as_bad_input(megabytes):
    try:
        take(megabytes)
    except MemoryError as error:
        raise errors.BadInput("the factory raised") from error
def take_and_die(megabytes, pause=0.0):
    block = np.ones(megabytes * 125_000)
    time.sleep(pause)
    os.kill(os.getpid(), signal.SIGKILL)
def grow(megabytes, pause):
    blocks = []
    while True:
        blocks.append(np.ones(megabytes * 125_000))
        time.sleep(pause)
def limited(megabytes):
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20,) * 2)
def has_child():
    return subprocess.Popen(["sleep", "1000"]).pid
def path(): return sys.path
def hash_seed(): return os.environ.get("PYTHONHASHSEED")
"""


@pytest.fixture
def served(tmp_path: Path) -> Path:
    (tmp_path / "served_here.py").write_text(SERVED)
    return tmp_path


def child(folder: Path, **options: Any) -> Child:
    options = {"name": "it", "timeout_s": 60.0} | options
    return Child("served_here", path=[str(folder), *sys.path], **options)


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    yield
    assert psutil.Process().children(recursive=True) == []


def test_replies_are_in_order_and_whole(served: Path) -> None:
    big = np.arange(3_000_000, dtype=np.float64)  # many times what the socket holds
    with child(served) as it:
        assert [it.ask("echo", n) for n in range(100)] == list(range(100))
        np.testing.assert_array_equal(it.ask("echo", big), big)
        assert it.ask("echo", None) is None
        assert it.alive
    assert not it.alive


@pytest.mark.parametrize(
    ("end", "arguments", "said"),
    [
        ("end", [int(signal.SIGSEGV)], "it crashed with SIGSEGV in end"),
        ("end", [int(signal.SIGTERM)], "it crashed with SIGTERM in end"),
        ("say_and_abort", ["\x1b]0;title\x07\x1b[1;31mlast words\x1b[0m"], "it crashed with SIGABRT in say_and_abort"),
        ("leave", [0], "it ended with exit code 0 in leave"),
        ("leave", [7], "it ended with exit code 7 in leave"),
    ],
)
def test_how_it_died(served: Path, end: str, arguments: list[Any], said: str) -> None:
    with child(served, where="m.onnx", remedy="another one") as it:
        with pytest.raises(RuntimeFailure) as caught:
            it.ask(end, *arguments)
        assert not it.alive
        with pytest.raises(RuntimeFailure, match="asked to echo and is gone"):
            it.ask("echo", 1)
    error = caught.value
    assert (error.what, error.where, error.remedy, error.exit_code) == (said, "m.onnx", "another one", 1)
    if end == "say_and_abort":
        assert error.details[0] == "last words", "without the colours of a terminal"
        assert error.details[1].startswith(f"{served / 'served_here.py'}:")


def test_what_was_printed_before_the_request_is_not_its_last_words(served: Path) -> None:
    with child(served) as it:
        it.ask("say", "earlier")
        with pytest.raises(RuntimeFailure) as caught:
            it.ask("say_and_abort", "last words")
    assert "earlier" not in str(caught.value)


def test_a_hang_is_ended_and_says_where(served: Path) -> None:
    begin = time.monotonic()
    with child(served, timeout_s=1.0) as it:
        with pytest.raises(RuntimeFailure, match=r"it hung: sleep took more than 1 s \(timeout\)") as caught:
            it.ask("sleep", 600)
        assert not it.alive
    assert time.monotonic() - begin < 30
    assert caught.value.details[-1].endswith(" in sleep")


@pytest.mark.parametrize("size", [1, 50_000_000])
def test_a_stopped_process_is_a_hang_however_large_the_request(served: Path, size: int) -> None:
    with child(served, timeout_s=2.0) as it:
        psutil.Process(it.pid).suspend()
        with pytest.raises(RuntimeFailure, match="it hung: echo took more than 2 s"):
            it.ask("echo", bytes(size))


def test_a_raise_is_told_with_its_traceback_as_a_note_and_it_lives_on(served: Path) -> None:
    with child(served) as it:
        with pytest.raises(RuntimeFailure, match="it raised in raise_: ArithmeticError: boom") as caught:
            it.ask("raise_", "ArithmeticError", "boom")
        assert caught.value.details[-1].endswith(" in raise_")
        (note,) = caught.value.__notes__
        assert note.startswith("Traceback") and "raise kind(*arguments" in note
        assert "Traceback" not in str(caught.value)
        for command, kind in (("local", "LocalError"), ("unpicklable", "PicklingError|AttributeError")):
            with pytest.raises(RuntimeFailure, match=kind):
                it.ask(command)
        with pytest.raises(RuntimeFailure, match="KeyError: 'nothing_of_the_kind'"):
            it.ask("nothing_of_the_kind")
        assert it.ask("echo", 5) == 5


def test_errors_that_pass_are_whole(served: Path) -> None:
    with child(served, passes=(BadInput, OSError)) as it:
        with pytest.raises(UnsupportedNodes) as caught:
            it.ask("refuse")
        assert caught.value.nodes[0].op == "Op"
        assert caught.value.where == "m.onnx"
        assert caught.value.exit_code == 2
        assert "Traceback" in caught.value.__notes__[0]
        with pytest.raises(FileNotFoundError) as missing:
            it.ask("raise_", "OSError", 2, "no such file", "here")
        assert missing.value.filename == "here"
        for name in ("CheckFailed", "InternalFault"):
            with pytest.raises(RuntimeFailure, match=f"it raised in raise_: {name}: what"):
                it.ask("raise_", name, "what")
    with child(served, passes=(CheckFailed, InternalFault)) as it:
        with pytest.raises(InternalFault, match="what"):
            it.ask("raise_", "InternalFault", "what")
        with pytest.raises(RuntimeFailure, match="OSError"):
            it.ask("raise_", "OSError", "what")


def megabytes(text: str) -> float:
    number, unit = text.split("it had taken ")[1].split()[:2]
    return float(number) * {"MB": 1, "GB": 1000}[unit]


@pytest.mark.parametrize(("size", "pause"), [(700, 1.5), (150, 1.5), (2500, 0.0)])
def test_sigkill_is_out_of_memory_with_the_peak(served: Path, size: int, pause: float) -> None:
    """Seen while it is waited for, or else in what the kernel tells of the dead."""
    told = pytest.raises(OutOfMemory, match="it was killed with SIGKILL in take_and_die")
    with child(served, where="m.onnx") as it, told as caught:
        it.ask("take_and_die", size, pause)
    assert caught.value.exit_code == 3
    assert caught.value.remedy
    assert size <= megabytes(caught.value.what) < size + 200


def test_more_memory_than_it_may_take_ends_it_and_the_peak_is_told(served: Path) -> None:
    with child(served, most_bytes=400 << 20) as it:
        assert it.ask("take", 100) == 1
        assert 100e6 < it.peak_bytes < 400e6
        with pytest.raises(RuntimeFailure, match=r"it took more memory than the 0\.419 GB that it may in grow"):
            it.ask("grow", 100, 0.05)
        assert not it.alive


def test_another_python_sees_what_the_standard_library_is_enough_for_and_nothing_else(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True, with_pip=False)
    script, model = tmp_path / "numpy.py", tmp_path / "x"  # of a package's name, and of ours beside it
    script.write_text(
        "import importlib.util, json, sys\n"
        "def convert(model, folder):\n"
        "    seen = [name for name in ('onnx', 'typer', 'pip') if importlib.util.find_spec(name)]\n"
        "    made = folder / 'made'\n"
        "    made.write_text(json.dumps([sys.prefix, seen, model.read_text(), str(folder.cwd())]))\n"
        "    return 'made'\n"
    )
    model.write_text("given")
    (tmp_path / "out").mkdir()
    alone = {"PYTHONPATH": "", "PYTHONNOUSERSITE": "1"}
    with Child(function.__name__, name="it", python=[str(tmp_path / "env/bin/python")], environment=alone) as it:
        made = it.ask("convert", f"{script}:convert", str(model), str(tmp_path / "out"))
        assert made == str(tmp_path / "out/made")
        assert json.loads(Path(made).read_text()) == [str(tmp_path / "env"), [], "given", str(tmp_path / "out")]
        with pytest.raises(RuntimeFailure, match="has no attribute 'nothing'"):
            it.ask("convert", f"{script}:nothing", str(model), str(tmp_path / "out"))
        assert it.alive


def test_a_parents_own_memory_is_not_taken_for_the_childs(served: Path) -> None:
    ballast = np.ones(100_000_000)  # 800 MB
    with child(served) as it, pytest.raises(OutOfMemory) as caught:
        it.ask("take_and_die", 150, 1.5)
    assert 150 <= megabytes(caught.value.what) < 350
    assert ballast[0] == 1


def test_a_memory_error_is_out_of_memory(served: Path) -> None:
    with child(served) as it:
        it.ask("take_in_torch", 1)  # torch itself is loaded
        it.ask("limited", 3000)
        with pytest.raises(OutOfMemory, match="it ran out of memory in take") as caught:
            it.ask("take", 4000)
        assert "Traceback" in caught.value.__notes__[0]
        assert "Unable to allocate" in caught.value.details[0]
        with pytest.raises(OutOfMemory, match="it ran out of memory in take_in_torch"):
            it.ask("take_in_torch", 4000)
        with pytest.raises(OutOfMemory):
            it.ask("take_as_bad_input", 4000)
        assert it.ask("take", 100) == 1.0


CGROUP = Path("/sys/fs/cgroup/memory")


@pytest.mark.skipif(not os.access(CGROUP, os.W_OK), reason="only who may make a cgroup can limit memory for real")
def test_the_kernels_own_out_of_memory(served: Path) -> None:
    group = CGROUP / f"edgeworthy-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(400 << 20))
        with child(served) as it:
            (group / "cgroup.procs").write_text(str(it.pid))
            with pytest.raises(OutOfMemory, match="killed with SIGKILL in grow") as caught:
                it.ask("grow", 20, 0.1)
        assert 300 < megabytes(caught.value.what) < 600
    finally:
        group.rmdir()


def test_what_it_started_ends_with_it(served: Path) -> None:
    with child(served) as it:
        grandchild = psutil.Process(it.ask("has_child"))
        with pytest.raises(RuntimeFailure):
            it.ask("leave", 1)
    psutil.wait_procs([grandchild], timeout=10)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_an_interrupt_ends_it(served: Path) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with child(served) as it:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(KeyboardInterrupt):
                it.ask("sleep", 600)
            assert not it.alive
    finally:
        signal.signal(signal.SIGALRM, before)


def test_its_environment_and_path(served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with child(served, environment={"PYTHONHASHSEED": "0"}) as it:
        assert it.ask("hash_seed") == "0"
        assert it.ask("path") == [str(served), *sys.path]
    # Without a path of ours, a file in the current folder stands in for no package.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise SystemExit('mine')\n")
    with pytest.raises(RuntimeFailure, match="No module named 'served_here'"):
        Child("served_here", name="it").__enter__()


def test_a_flood_of_output_fills_neither_disk_nor_memory(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 400 MB, what is on the disk afterwards was written since it was last looked at; the last words are told."""
    monkeypatch.setattr("edgeworthy.workers.output._MOST_BYTES", 1 << 20)
    monkeypatch.setattr("edgeworthy.workers.child._SLICES_S", (0.005, 0.01))
    before = memory("VmHWM")
    with child(served) as it:
        with pytest.raises(RuntimeFailure, match="ValueError: last words") as raised:
            it.ask("flood", 400, "last words")
        status = os.fstat(it._output.file.fileno())
        assert it.ask("echo", 1) == 1
    assert status.st_size >= 400e6
    assert status.st_blocks * 512 < 200e6
    assert memory("VmHWM") - before < 50e6
    assert set(raised.value.details[-1]) == {"x"}


@pytest.mark.parametrize("how", ["closed", "killed", "timeout"])
def test_temporary_files_go_with_the_process(served: Path, how: str) -> None:
    with child(served) as worker:
        left = Path(worker.ask("keep_a_file"))
        assert left.exists() and left.parent.name.startswith("edgw.")
        if how != "closed":
            with pytest.raises(RuntimeFailure if how == "timeout" else OutOfMemory):
                worker.ask(*(("sleep", 60) if how == "timeout" else ("end", signal.SIGKILL)), timeout_s=0.5)
    assert not left.parent.exists()
