"""Boards that go away, fill up, hang or crash in the middle: each ends in time, by name, and leaves nothing running."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import NotAvailable, OutOfMemory, RuntimeFailure
from edgeworthy.files import sha256
from edgeworthy.targets import get
from edgeworthy.targets.remote import ssh
from edgeworthy.targets.remote.session import RemoteTarget
from edgeworthy.targets.worker import Worker
from edgeworthy.validate import latency
from edgeworthy.validate.runners import Subject

from .boards import NEEDED, Board

pytestmark = NEEDED

ZEROS = {"image": np.zeros((1, 8, 8, 3), np.int8)}


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "board") as board:
        yield board


def opened(target: str) -> RemoteTarget:
    made: Any = get(target)
    made.version()
    return made


def connection(board: Board) -> psutil.Process:
    """sshd's process that holds the user's connection."""
    return next(p for p in board.sessions() if "@notty" in " ".join(p.cmdline()))


def server(board: Board) -> psutil.Process:
    """The process there that holds the model."""
    return next(p for p in board.sessions() if "python" in p.name() and not p.children())


def soon(action: Callable[[], object], when: Callable[[], bool]) -> threading.Thread:
    """Do something as soon as it can be done."""

    def wait() -> None:
        until = time.monotonic() + 60
        while not when() and time.monotonic() < until:
            time.sleep(0.002)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_cut_in_the_middle_of_a_push_goes_on_from_there(board: Board, tmp_path: Path) -> None:
    file = tmp_path / "large.tflite"
    file.write_bytes(os.urandom(96 << 20))
    part = board.store / f"{sha256(file)}.part"
    target: Any = opened(board.target())
    cut = soon(lambda: connection(board).kill(), lambda: part.exists() and part.stat().st_size > 8 << 20)
    with pytest.raises(RuntimeFailure, match=r"is gone in (write|finish): the connection was lost") as failed:
        target.store.put(target.runner, file)
    cut.join()
    assert failed.value.remedy
    assert board.quiet()
    arrived = part.stat().st_size
    assert 8 << 20 < arrived < 96 << 20
    again: Any = opened(board.target())
    begun, _ = again.runner.ask("begin", folder=str(board.store), limit=1 << 30, sha256=sha256(file), size=96 << 20)
    assert begun["offset"] == arrived
    assert Path(again.store.put(again.runner, file)).read_bytes() == file.read_bytes()
    again.runner.close()
    assert board.quiet() and not part.exists()


@pytest.mark.parametrize(
    ("victim", "sent", "kind", "said"),
    [
        (connection, signal.SIGKILL, RuntimeFailure, "is gone in time: the connection was lost"),
        (server, signal.SIGSEGV, RuntimeFailure, "crashed with SIGSEGV in time"),
        (server, signal.SIGKILL, OutOfMemory, "was killed with SIGKILL in time"),
    ],
)
def test_what_dies_in_the_middle_of_a_run_is_named(
    board: Board, tflite_int8: TFLiteModel, victim: Any, sent: signal.Signals, kind: type[Exception], said: str
) -> None:
    target = opened(board.target())
    loaded = target.load(tflite_int8)
    loaded.run(ZEROS)
    dies, begin = victim(board), server(board).cpu_times().user
    cut = soon(lambda: dies.send_signal(sent), lambda: server(board).cpu_times().user > begin + 0.3)
    with pytest.raises(kind, match=said):
        loaded.time(ZEROS, 100_000_000)
    cut.join()
    assert board.quiet()
    assert loaded.receipt.ran == "XNNPACK" and loaded.memory()  # as they were last known
    with pytest.raises(RuntimeFailure, match="was asked to run and is gone"):
        loaded.run(ZEROS)
    assert target.load(tflite_int8).run(ZEROS)["logits"].dtype == np.int8  # over a new connection
    target.runner.close()


def test_a_run_that_hangs_ends_there_too(board: Board, tflite_int8: TFLiteModel) -> None:
    with Worker(board.target(), tflite_int8, timeout_s=10) as worker:
        begin = time.monotonic()
        with pytest.raises(RuntimeFailure, match=r"hung: time took more than 10 s \(timeout\)"):
            worker.time(ZEROS, 100_000_000)
        assert time.monotonic() - begin < 25
        assert board.quiet()


def test_a_board_that_freezes_is_given_up(
    board: Board, tflite_int8: TFLiteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers no more, as behind a cable that is pulled: nothing closes the connection."""
    monkeypatch.setattr(ssh, "_KEEPALIVE_S", 1)
    monkeypatch.setattr(ssh, "_KEEPALIVES", 2)
    loaded = opened(board.target()).load(tflite_int8)
    frozen = board.sessions()
    for process in frozen:
        process.suspend()
    begin = time.monotonic()
    with pytest.raises(RuntimeFailure, match="is gone in run: the connection was lost"):
        loaded.run(ZEROS)
    assert time.monotonic() - begin < 20
    for process in frozen:
        process.resume()
    assert board.quiet()


def test_a_board_that_reboots_is_used_again_once_it_is_back(board: Board, tflite_int8: TFLiteModel) -> None:
    target = opened(board.target())
    loaded = target.load(tflite_int8)
    board.stop()
    with pytest.raises(RuntimeFailure, match="is gone in run: the connection was lost"):
        loaded.run(ZEROS)
    with pytest.raises(NotAvailable, match="has no sshd on this port"):
        target.load(tflite_int8)
    board.start()
    assert target.load(tflite_int8).run(ZEROS)["logits"].dtype == np.int8
    target.runner.close()


def test_a_full_disk_is_named_and_left_as_it_was(tmp_path: Path, tflite_int8: TFLiteModel) -> None:
    if subprocess.run(["unshare", "-r", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no user a file system of his own")
    script = tmp_path / "small"
    script.write_text(
        f'mkdir -p "{tmp_path}/board/its store" && mount -t tmpfs -o size=4m none "{tmp_path}/board/its store" && '
        'exec sh -c "$SSH_ORIGINAL_COMMAND"'
    )
    large = tmp_path / "large.tflite"
    large.write_bytes(os.urandom(6_000_000))
    with Board(tmp_path / "board", command=f"exec unshare -r -m sh {script}") as board:
        target: Any = opened(board.target())
        with pytest.raises(
            RuntimeFailure, match=r"can't take large\.tflite: its disk is full \(.*its store\)"
        ) as failed:
            target.store.put(target.runner, large)
        assert "workdir=FOLDER" in (failed.value.remedy or "")
        assert any("4194304 bytes free" in line or "are needed" in line for line in failed.value.details)
        sizes = target.runner.ask("begin", folder=str(board.store), limit=1, sha256=sha256(large), size=0)
        assert sizes[0].get("offset", 0) == 0  # nothing of it was left
        assert target.load(tflite_int8).run(ZEROS)["logits"].dtype == np.int8  # there is room for a small one
        target.runner.close()
        assert board.quiet()


def test_a_disk_that_fills_up_in_the_middle(tmp_path: Path) -> None:
    """Its room was enough when the file was begun. Here it is the limit of a file's size that the kernel keeps."""
    large = tmp_path / "large.tflite"
    large.write_bytes(os.urandom(6_000_000))
    with Board(tmp_path / "board", command='ulimit -f 4000; exec sh -c "$SSH_ORIGINAL_COMMAND"') as board:
        target: Any = opened(board.target())
        with pytest.raises(RuntimeFailure, match=r"can't take large\.tflite: its disk is full"):
            target.store.put(target.runner, large)
        assert not [p for p in board.store.iterdir() if p.suffix != ".lock"]
        target.runner.close()


def test_a_folder_there_that_cannot_be_written(board: Board, tflite_int8: TFLiteModel) -> None:
    target = opened(board.target(workdir="/proc/edgeworthy"))
    with pytest.raises(RuntimeFailure, match=r"can't take int8\.tflite: its folder can't be written"):
        target.load(tflite_int8)
    target.runner.close()


def test_a_board_tells_how_warm_and_fast_it_is(tmp_path: Path, tflite_int8: TFLiteModel) -> None:
    """From /sys, where this board's own user sees other files than this machine."""
    if subprocess.run(["unshare", "-r", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no user a file system of his own")
    zone, core = tmp_path / "class/thermal/thermal_zone0", tmp_path / "devices/system/cpu/cpu0/cpufreq"
    for folder in (zone, core):
        folder.mkdir(parents=True)
    for name, text in (
        ("scaling_governor", "ondemand"),
        ("scaling_cur_freq", "1800000"),
        ("cpuinfo_max_freq", "1800000"),
    ):
        (core / name).write_text(f"{text}\n")
    (zone / "temp").write_text("48300\n")
    command = f"exec unshare -r -m sh -c 'mount --bind {tmp_path} /sys && exec sh -c \"$SSH_ORIGINAL_COMMAND\"'"
    with Board(tmp_path / "board", command=command) as board:
        target = opened(board.target())
        loaded = target.load(tflite_int8)
        loaded.run(ZEROS)
        (zone / "temp").write_text("81900\n")
        (core / "scaling_cur_freq").write_text("1200000\n")
        assert loaded.receipt.notes[1:] == (
            "governor ondemand", "48 °C at first, 82 °C at last", "1800 MHz at first, 1200 MHz at last of at most 1800",
        )  # fmt: skip
        target.runner.close()


def test_a_clock_that_is_set_changes_no_time(tmp_path: Path, tflite_int8: TFLiteModel) -> None:
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
    if library is None:
        pytest.skip("needs libfaketime: apt-get install faketime")
    offset = tmp_path / "offset"
    offset.write_text("+0y")
    settings = (
        f"LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={offset} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1"
    )
    with Board(tmp_path / "board", command=f'exec env {settings} sh -c "$SSH_ORIGINAL_COMMAND"') as board:
        target = opened(board.target())
        loaded = target.load(tflite_int8)
        loaded.time(ZEROS, 10)
        for year in ("-40y", "+40y"):
            offset.write_text(year)
            assert all(0 < ns < 60e9 for ns in loaded.time(ZEROS, 200))
            assert target.load(tflite_int8).elapsed_ns < 60e9  # type: ignore[operator]
        target.runner.close()


def test_a_model_that_it_refuses_and_the_next_one(board: Board, tflite_int8: TFLiteModel, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(tflite_int8.path.read_bytes()[:200])
    with Worker(board.target()) as worker:
        with pytest.raises(RuntimeFailure, match="raised in load: ValueError"):
            worker.load(TFLiteModel(broken, tflite_int8.inputs, tflite_int8.outputs))
        worker.load(tflite_int8)
        assert worker.run(ZEROS)["logits"].dtype == np.int8


def test_other_rows_go_on(board: Board, tflite_int8: TFLiteModel, tmp_path: Path) -> None:
    """One of three rows dies while it is timed; the others keep their times."""
    names = {
        "here": "tflite",
        "board": board.target(),
        "broken": board.target(key=shutil.copy(board.key, tmp_path / "k")),
    }
    rows = [
        Subject(name, runtime, lambda runtime=runtime: Worker(runtime, tflite_int8), measured="device")  # type: ignore[misc]
        for name, runtime in names.items()
    ]
    (tmp_path / "k").write_text("no key any more")
    result = latency.measure(rows, ZEROS, seconds=0.2)
    assert [row.status for row in result.rows] == ["pass", "pass", "error"]
    assert "can't be used to log in" in (result.rows[2].failure or "")
    assert result.rows[1].p50_ms and result.rows[1].measured == "device"
    assert board.quiet()
