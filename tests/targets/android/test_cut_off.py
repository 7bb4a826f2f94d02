"""What breaks in the middle, with the real adb and adbd: it ends in time, is named, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edgeworthy import targets
from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import EdgeworthyError, OutOfMemory, RuntimeFailure
from edgeworthy.files import sha256
from edgeworthy.targets.android import adb, watched
from edgeworthy.targets.android.store import DeviceFiles
from edgeworthy.targets.worker import Worker
from edgeworthy.validate.latency import measure
from edgeworthy.validate.runners import Subject

from .devices import Device, Network

pytestmark = pytest.mark.device

FEEDS = {"image": np.zeros((1, 8, 8, 3), np.float32)}
HASH = "0123456789abcdef" * 4


def broken(action: Callable[[], object], said: str, within_s: float = 20) -> EdgeworthyError:
    """The failure of a row, which comes in time and says where and what helps."""
    begin = time.monotonic()
    with pytest.raises(RuntimeFailure, match=said) as failed:
        action()
    assert time.monotonic() - begin < within_s and failed.value.exit_code == 1 and failed.value.where
    return failed.value


def later(seconds: float, action: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def files(device: Device, **options: int) -> DeviceFiles:
    return DeviceFiles(adb.choose(device.serial), str(device.workdir), **options)


def faulty(tool: Path, folder: Path, kind: str) -> str:
    """The tool with a fault of its own, as an option."""
    path = folder / "tool"
    path.write_text(tool.read_text().replace('os.environ.get("FAULT", "")', repr(kind)))
    return f"benchmark={path}"


def test_the_cable_is_pulled_in_a_push(device: Device, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(1 << 30)
    store = files(device)

    def pull() -> None:
        while not any(name.endswith(".part") for name in device.left()):
            time.sleep(0.01)
        device.stop()

    later(0, pull)
    error = broken(
        lambda: store.put(large), "is gone: unplugged, switched off, or restarting", 60
    )  # it is hashed first
    assert "plug it in" in (error.remedy or "")
    (left,) = device.left()
    assert left.endswith(".part")  # nothing could be removed: there was no device
    device.start()
    os.utime(device.workdir / left, (1, 1))
    name = store.put_bytes(b"next")
    assert device.left() == {name}


def test_the_cable_is_pulled_in_a_run(device: Device, tool: Path, tmp_path: Path, tflite_int8: TFLiteModel) -> None:
    for way in (f"python={sys.executable}", f"benchmark={tool}"):
        with Worker(f"{device.target},{way}", tflite_int8) as there:
            there.run(FEEDS)
            device.stop()
            broken(partial(there.run, FEEDS), "is gone")
            device.start()
            there.load(tflite_int8)
            assert there.run(FEEDS)["logits"].shape == (1, 5)
    assert not any(name.endswith(".part") for name in device.left())


def test_a_device_restarts_in_a_run(
    network: Network, device: Device, tool: Path, tmp_path: Path, tflite_int8: TFLiteModel
) -> None:
    option = faulty(tool, tmp_path, "hangs")

    def restart() -> None:
        device.stop()
        device.start()

    with Worker(f"{device.target},{option}") as there:
        cut = later(4, restart)
        error = broken(lambda: there.load(tflite_int8), "(is gone: .*|is there again, but was cut off: it restarted)")
    assert "run it again" in (error.remedy or "")
    cut.join()
    assert not network.processes(f"./{sha256(tmp_path / 'tool')}")


def test_adbs_server_dies_in_a_run(network: Network, device: Device, tflite_int8: TFLiteModel) -> None:
    with Worker(f"{device.target},python={sys.executable}", tflite_int8) as there:
        for server in network.processes("fork-server"):
            server.kill()
        error = broken(lambda: there.run(FEEDS), "is gone in run: connection lost")
        assert error.where == f"android:{device.serial}"
    network.call("connect", device.serial)


def test_a_run_hangs(network: Network, device: Device, tool: Path, tmp_path: Path, tflite_int8: TFLiteModel) -> None:
    option = faulty(tool, tmp_path, "hangs")
    with Worker(f"{device.target},{option}", timeout_s=6) as there:
        broken(lambda: there.load(tflite_int8), "hung: load took more than 6 s")
    until = time.monotonic() + 5
    while network.processes(f"./{sha256(tmp_path / 'tool')}") and time.monotonic() < until:
        time.sleep(0.1)
    assert not network.processes(f"./{sha256(tmp_path / 'tool')}")
    assert device.left() == {sha256(tmp_path / "tool"), sha256(tflite_int8.path)}


def test_a_runtime_crashes(device: Device, tool: Path, tmp_path: Path, tflite_int8: TFLiteModel) -> None:
    with Worker(f"{device.target},{faulty(tool, tmp_path, 'crashes')}") as there:
        broken(lambda: there.load(tflite_int8), "benchmark_model crashed with SIGSEGV")
    with Worker(f"{device.target},{faulty(tool, tmp_path, 'killed')}") as there, pytest.raises(OutOfMemory) as failed:
        there.load(tflite_int8)
    assert failed.value.what.startswith("benchmark_model was killed with SIGKILL") and failed.value.exit_code == 3


def test_a_file_that_its_runtime_refuses(device: Device, tool: Path, tmp_path: Path, tflite_int8: TFLiteModel) -> None:
    data = tflite_int8.path.read_bytes()
    bad = TFLiteModel(tmp_path / "bad.tflite", tflite_int8.inputs, tflite_int8.outputs, tflite_int8.scheme)
    bad.path.write_bytes(data[: len(data) // 2])
    with Worker(f"{device.target},python={sys.executable}") as there:
        broken(lambda: there.load(bad), "android raised in load: ")
        there.load(tflite_int8)
        assert there.run(FEEDS)["logits"].shape == (1, 5)


def test_a_device_that_stands_still(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    store = files(device)
    store.put_bytes(b"first")
    monkeypatch.setattr(adb, "ANSWER_S", 1.5)
    assert device.process is not None
    device.process.send_signal(signal.SIGSTOP)
    try:
        broken(lambda: store.put_bytes(b"second"), "doesn't answer: a command took more than 1.5 s")
    finally:
        device.process.send_signal(signal.SIGCONT)


def test_no_room(network: Network, device: Device, tflite_int8: TFLiteModel, tmp_path: Path) -> None:
    device.workdir.mkdir(parents=True)
    network.run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(device.workdir))
    device.stop()
    device.start()
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    store = files(device)
    error = broken(lambda: store.put(tmp_path / "large"), "has no room left")
    assert error.remedy == "free some of its storage"
    name = store.put_bytes(b"small")  # and it goes on
    assert network.run("ls", str(device.workdir)).split() == [name]
    device.stop()
    network.run("umount", str(device.workdir))


def test_a_folder_that_cannot_be_written(device: Device, tflite_int8: TFLiteModel) -> None:
    device.workdir.parent.mkdir(parents=True, exist_ok=True)
    device.workdir.write_text("in the way")
    error = broken(lambda: files(device).put_bytes(b"x"), "ended a command|can't be written")
    device.workdir.unlink()
    assert any("exists" in line or "directory" in line for line in error.details)


def test_what_the_storage_changed_is_not_used(device: Device, tmp_path: Path) -> None:
    device.command("sha256sum", f"echo {HASH}")
    error = broken(lambda: files(device).put_bytes(b"data"), "got a file otherwise than it was sent")
    assert "storage" in (error.remedy or "") and device.left() == set()
    (device.folder / "bin" / "sha256sum").unlink()


def test_names_do_no_harm(device: Device, tmp_path: Path, tflite_int8: TFLiteModel) -> None:
    """Ours never get there, and those that are there are neither run nor removed."""
    evil = tmp_path / "-rf $(touch pwned) `touch pwned`;touch pwned|' \" \n&& ü.tflite"
    evil.write_bytes(tflite_int8.path.read_bytes())
    device.workdir.mkdir(parents=True)
    there = {"$(touch pwned)", ";touch pwned;", "-rf", f"{HASH}.d; touch pwned", f"{HASH}\n{HASH}", "'", "a b"}
    for name in there:
        (device.workdir / name).write_text("")
        os.utime(device.workdir / name, (1, 1))
    store = files(device, limit=1)
    name = store.put(evil)
    assert name == sha256(evil) and device.left() == {*there, name}
    assert not list(device.folder.rglob("pwned"))
    artifact = TFLiteModel(evil, tflite_int8.inputs, tflite_int8.outputs, tflite_int8.scheme)
    with Worker(f"{device.target},python={sys.executable}", artifact) as runner:
        assert runner.run(FEEDS)["logits"].shape == (1, 5)


def test_the_longest_unused_go(device: Device, tmp_path: Path) -> None:
    store = files(device, limit=97_000)
    names = [store.put_bytes(bytes([k]) * 30_000) for k in range(3)]
    (device.workdir / f"{HASH}.d").mkdir()
    hours_ago = time.time() - 7200
    for age, name in enumerate([names[1], f"{HASH}.d", names[0]]):
        os.utime(device.workdir / name, (hours_ago + age, hours_ago + age))
    assert store.put_bytes(bytes([0]) * 30_000) == names[0]  # used again: now the newest
    last = store.put_bytes(b"x" * 30_000)
    assert device.left() == {names[0], names[2], last}


def test_a_device_throttles(device: Device, tflite_int8: TFLiteModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "PAUSES_S", (0.5, 0.1, 0.1))
    target = targets.get(f"{device.target},python={sys.executable}")
    model = target.load(tflite_int8)
    device.heat(3)
    later(0.6, lambda: device.heat(0))
    assert len(model.time(FEEDS, 4)) == 4
    assert any("taken again: it throttled: thermal status severe" in note for note in model.receipt.notes)
    device.heat(2)
    error = broken(lambda: model.time(FEEDS, 4), "gave no valid times in 4 turns")
    assert "4 times: it throttled: thermal status moderate" in error.details and "cool down" in (error.remedy or "")
    device.heat(0)
    assert model.run(FEEDS)["logits"].shape == (1, 5)  # outputs are none the worse for it


def test_the_clock_is_set(device: Device, tflite_int8: TFLiteModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "PAUSES_S", (0.1, 0.1, 0.1))
    model = targets.get(f"{device.target},python={sys.executable}").load(tflite_int8)
    calls = device.folder / "calls"
    calls.write_text("")
    device.command("date", f'echo >> "{calls}"; n=$(wc -l < "{calls}"); [ $n = 2 ] && n=5000; echo $((1700000000 + n))')
    try:
        assert len(model.time(FEEDS, 3)) == 3
    finally:
        (device.folder / "bin" / "date").unlink()
    assert any("taken again: its clock was set by " in note for note in model.receipt.notes)


def test_no_other_row_is_lost(device: Device, network: Network, tflite_int8: TFLiteModel) -> None:

    def pull(what: str, done: int, total: int) -> None:
        if done > total / 2 and device.process is not None:
            device.stop()

    with network.device(6002) as other:
        names = [f"{one.target},python={sys.executable}" for one in (device, other)] + ["tflite"]
        subjects = [
            Subject(name=name, runtime=name, open=partial(Worker, name, tflite_int8), measured="device")
            for name in names
        ]
        result = measure(subjects, FEEDS, seconds=2, progress=pull)
    rows = {row.name: row for row in result.rows}
    assert rows[names[0]].status == "error" and "is gone" in (rows[names[0]].failure or "")
    assert [rows[name].status for name in names[1:]] == ["pass", "pass"]
    assert all(rows[name].p50_ms for name in names[1:])
