"""A list of targets starts no server of adb's; a target that is used does."""

from __future__ import annotations

import shlex
import socket
import subprocess
from pathlib import Path

import pytest

from edgeworthy import targets
from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import NotAvailable
from edgeworthy.pipeline import diagnosis, inspection
from edgeworthy.pipeline.progress import Silent
from edgeworthy.targets.android import adb

SCRIPT = """#!/bin/sh
echo "$1" >> "{log}"
case $1 in
version) echo "Version 35.0.2-test" ;;
devices) echo "List of devices attached" ;;
esac
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What an adb on the PATH is asked, a line a command."""
    log = tmp_path / "log"
    log.touch()
    (tmp_path / "adb").write_text(SCRIPT.format(log=log))
    (tmp_path / "adb").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    android = targets.Targets("target", targets.TargetInfo, [targets.find("android")])
    monkeypatch.setattr(diagnosis, "TARGETS", android)
    for name in ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_ADB_SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    return log


def free_port() -> int:
    with socket.create_server(("localhost", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("name", ["ANDROID_ADB_SERVER_PORT", "ADB_SERVER_SOCKET"])
def test_without_a_server_none_is_started(
    asked: Path, name: str, monkeypatch: pytest.MonkeyPatch, tflite_model: TFLiteModel
) -> None:
    port = free_port()
    monkeypatch.setenv(name, str(port) if name.endswith("PORT") else f"tcp:localhost:{port}")
    (state,) = diagnosis.target_states(Silent())
    assert state.version == "35.0.2-test" and not state.available and "doctor android does" in state.why
    assert inspection.inspect(tflite_model.path).runs_on["android"] == state.why
    assert set(asked.read_text().split()) == {"version"}
    assert "no device is connected" in (targets.find("android").missing() or "")
    assert "devices" in asked.read_text().split()


def test_a_server_that_runs_is_asked(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("localhost", 0)) as server:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.getsockname()[1]))
        (state,) = diagnosis.target_states(Silent())
    assert "no device is connected" in state.why and "devices" in asked.read_text().split()


@pytest.mark.parametrize("place", ["localfilesystem:/run/adb", "tcp:not-a-port", "vsock:2:5037"])
def test_a_place_that_only_adb_understands_is_left_to_it(
    asked: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADB_SERVER_SOCKET", place)
    assert adb.unserved() is None


def test_a_remedy_names_an_adb_that_is_not_on_the_path_so_that_it_can_be_typed(
    asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = asked.parent / "my sdk" / "platform-tools"
    tools.mkdir(parents=True)
    (asked.parent / "adb").rename(tools / "adb")
    monkeypatch.setenv("ANDROID_HOME", str(tools.parent))
    with pytest.raises(NotAvailable, match="there is no device") as refused:
        adb.choose("10.0.0.7:5555")
    typed, _, rest = (refused.value.remedy or "").partition(", or name one")
    assert subprocess.run(typed, shell=True, check=False).returncode == 0
    assert asked.read_text().split()[-1] == "connect" and f"{shlex.quote(str(tools / 'adb'))} devices" in rest
