"""A board behind a radio that drops packets: nothing closes the connection, here or there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import RuntimeFailure
from edgeworthy.files import sha256
from edgeworthy.targets.worker import Worker

from .boards import NEEDED, Board
from .test_ssh_cuts import ZEROS, soon

pytestmark = [
    NEEDED,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nft") is None, reason="nothing drops packets: apt-get install nftables"),
    pytest.mark.skipif(os.getuid() != 0, reason="an sshd in a network of its own takes root"),
]

PYTHON = sys.executable


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """A board in a network of its own, where workers are too."""
    up = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"]
    with subprocess.Popen(up, stdout=subprocess.PIPE) as holder:
        if holder.stdout is None or holder.stdout.readline() != b"up\n":
            pytest.skip("this machine gives no network of its own")
        inside = ["nsenter", "-t", str(holder.pid), "-n", "--"]
        worker = tmp_path / "python"
        worker.write_text(f'#!/bin/sh\nexec {" ".join(inside)} "{PYTHON}" "$@"\n')
        worker.chmod(0o755)
        try:
            with Board(tmp_path / "board", inside=inside) as made:
                monkeypatch.setattr(sys, "executable", str(worker))
                yield made
        finally:
            holder.kill()


@contextmanager
def out_of_reach(board: Board) -> Iterator[None]:
    def nft(*words: str) -> None:
        subprocess.run([*board.inside, "nft", *words], check=True)

    chain = "chain inet radio out { type filter hook output priority 0; }"
    drops = [f"add rule inet radio out tcp {end} {board.port} drop" for end in ("dport", "sport")]
    nft("; ".join(["add table inet radio", f"add {chain}", *drops]))
    try:
        yield
    finally:
        nft("delete", "table", "inet", "radio")


def runners(board: Board) -> list[psutil.Process]:
    """What runs models there."""
    return [p for p in board.sessions() if "python" in p.name()]


def lost(action: Callable[[], object], said: str) -> None:
    begin = time.monotonic()
    with pytest.raises(RuntimeFailure, match=said) as failed:
        action()
    assert time.monotonic() - begin < 50 and failed.value.where and "reachable" in (failed.value.remedy or "")


def test_packets_are_dropped_in_a_run(board: Board, tflite_int8: TFLiteModel) -> None:
    with Worker(board.target(python=PYTHON), tflite_int8) as there:
        there.run(ZEROS)
        with out_of_reach(board):
            left = runners(board)
            lost(lambda: there.time(ZEROS, 100_000_000), "is gone in time: the connection was lost")
            assert left and not psutil.wait_procs(left, timeout=45)[1], "what runs there ends by itself"
        there.load(tflite_int8)
        assert there.run(ZEROS)["logits"].shape == (1, 5)
    assert not psutil.wait_procs(runners(board), timeout=5)[1]  # sshd itself still waits for TCP


def test_packets_are_dropped_in_a_push(board: Board, tflite_int8: TFLiteModel, tmp_path: Path) -> None:
    large = TFLiteModel(tmp_path / "large.tflite", tflite_int8.inputs, tflite_int8.outputs, tflite_int8.scheme)
    large.path.write_bytes(tflite_int8.path.read_bytes() + os.urandom(96 << 20))
    part = board.store / f"{sha256(large.path)}.part"
    with ExitStack() as radio, Worker(board.target(python=PYTHON)) as there:
        cut = soon(
            lambda: radio.enter_context(out_of_reach(board)),
            lambda: part.exists() and part.stat().st_size > 8 << 20,
        )
        lost(lambda: there.load(large), "is gone in (write|finish): the connection was lost")
        cut.join()
        arrived = part.stat().st_size
        assert 8 << 20 < arrived < 96 << 20
        left = runners(board)
        assert not psutil.wait_procs(left, timeout=45)[1], "what runs there ends by itself"
        radio.close()
        began = part.stat().st_ino
        there.load(large)
        whole = board.store / sha256(large.path)
        assert whole.stat().st_ino == began, "it went on from there"
        assert there.run(ZEROS)["logits"].shape == (1, 5)
    assert not part.exists() and not psutil.wait_procs(runners(board), timeout=5)[1]
