"""A device behind a radio that drops packets: nothing closes the connection, here or there."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.files import sha256
from edgeworthy.targets.android import adb
from edgeworthy.targets.remote.there.runner import BOOTSTRAP
from edgeworthy.targets.worker import Worker

from .devices import Device, Network
from .test_cut_off import FEEDS, broken, faulty, files, later

dropping = pytest.mark.skipif(shutil.which("nft") is None, reason="nothing drops packets: apt-get install nftables")


@contextmanager
def out_of_reach(network: Network, device: Device) -> Iterator[None]:
    """All packets from and to a device are dropped, as on a radio: nothing closes a connection."""
    chain = "chain inet radio out { type filter hook output priority 0; }"
    drops = [f"add rule inet radio out tcp {end} {device.port} drop" for end in ("dport", "sport")]
    network.run("nft", "; ".join(["add table inet radio", f"add {chain}", *drops]))
    try:
        yield
    finally:
        network.run("nft", "delete table inet radio")


@pytest.mark.device
@dropping
def test_packets_are_dropped_in_a_push(
    network: Network, device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(1 << 30)
    store = files(device)
    monkeypatch.setattr(adb, "_PUSH_S", 3.0)
    monkeypatch.setattr(adb, "_BYTES_A_SECOND", 1 << 30)
    monkeypatch.setattr(adb, "ANSWER_S", 3.0)
    with ExitStack() as stack:

        def lose() -> None:
            while not any(name.endswith(".part") for name in device.left()):
                time.sleep(0.01)
            stack.enter_context(out_of_reach(network, device))

        later(0, lose)
        broken(lambda: store.put(large), "doesn't take .*: it took more than 4 s", 60)  # a gigabyte is hashed first
    again(network, device)
    (left,) = (name for name in device.left() if name.endswith(".part"))
    named, until = set[str](), time.monotonic() + 20
    while device.left() != named:  # adbd may still write what came late, which makes it new again
        assert time.monotonic() < until and device.left() - named <= {left}
        os.utime(device.workdir / left, (1, 1))
        named.add(store.put_bytes(str(len(named)).encode()))


@pytest.mark.device
@dropping
def test_packets_are_dropped_in_a_run(network: Network, device: Device, tflite_int8: TFLiteModel) -> None:
    with Worker(f"{device.target},python={sys.executable}", tflite_int8, timeout_s=6) as there:
        there.run(FEEDS)
        with out_of_reach(network, device):
            left = network.processes(BOOTSTRAP)
            broken(lambda: there.run(FEEDS), "hung: run took more than 6 s")
            assert len(left) == 2 and ends(left), "what runs there ends by itself"
        again(network, device)
        there.load(tflite_int8)
        assert there.run(FEEDS)["logits"].shape == (1, 5)


@pytest.mark.slow
@dropping
def test_packets_are_dropped_while_the_tool_runs(
    network: Network, device: Device, tool: Path, tmp_path: Path, tflite_int8: TFLiteModel
) -> None:
    option = faulty(tool, tmp_path, "hangs")
    running = f"--graph={sha256(tflite_int8.path)}"  # not the one that lists its flags
    with ExitStack() as stack, Worker(f"{device.target},{option}", timeout_s=12) as there:

        def lose() -> None:
            while not network.processes(running):
                time.sleep(0.01)
            stack.enter_context(out_of_reach(network, device))

        later(0, lose)
        broken(lambda: there.load(tflite_int8), "hung: load took more than 12 s")
        left = network.processes(running)
        assert left and ends(left), "what runs there ends by itself"
    again(network, device)


@pytest.mark.slow
def test_nothing_to_say_is_not_taken_for_silence(device: Device, tflite_int8: TFLiteModel) -> None:
    """Beats go on while a tool runs, and while a runner is asked nothing."""
    with Worker(f"{device.target},python={sys.executable}", tflite_int8) as there:
        there.run(FEEDS)
        assert files(device).shell(adb.guarded("sleep 40"), 60) == b""
        assert len(there.time(FEEDS, 10)) == 10


def ends(left: list[psutil.Process]) -> bool:
    """Whether processes end within the time that silence takes to be noticed."""
    return not psutil.wait_procs(left, timeout=45)[1]


def again(network: Network, device: Device) -> None:
    """Wait until adb's server sees a device again, which it may have given up."""
    until = time.monotonic() + 30
    while not device.ready():
        network.call("disconnect", device.serial)
        network.call("connect", device.serial)
        assert time.monotonic() < until
        time.sleep(0.2)
