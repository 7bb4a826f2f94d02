"""A board behind a real sshd: what it computes, and how it fails. `test_ssh_cuts` is of boards that go away."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import BadInput, NotAvailable, RuntimeFailure
from edgeworthy.files import sha256
from edgeworthy.targets import find, get
from edgeworthy.targets.remote import ssh
from edgeworthy.targets.remote.session import RemoteTarget
from edgeworthy.targets.worker import Worker

from .boards import NEEDED, Board, keygen

pytestmark = NEEDED


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with Board(tmp_path_factory.mktemp("board")) as board:
        yield board


def opened(target: str) -> RemoteTarget:
    """The target in this process, with its runner started."""
    made: Any = get(target)
    made.version()
    return made


def test_it_computes_there_what_is_computed_here(
    board: Board, tflite_int8: TFLiteModel, tflite_model: TFLiteModel
) -> None:
    feeds = {"image": np.random.default_rng(2).normal(size=(2, 8, 8, 3)).astype(np.float32)}
    feeds["image"][0, 0, 0] = 0, 1e30, -1e30
    for artifact in (tflite_int8, tflite_model):
        with Worker(board.target(), artifact) as there, Worker("tflite", artifact) as here:
            np.testing.assert_array_equal(there.run(feeds)["logits"], here.run(feeds)["logits"])
            assert len(there.time(feeds, 20)) == 20
            receipt = there.receipt
            assert there.peak_rss_bytes > 10e6 and 0 < there.load_ms < 5000
        assert (receipt.ran, receipt.nodes, receipt.delegated) == (
            "XNNPACK",
            here.receipt.nodes,
            here.receipt.delegated,
        )
        assert receipt.measured == "device" and "x86_64" in receipt.notes[0]
        assert Path(board.store, sha256(artifact.path)).is_file()
    assert board.quiet()


@pytest.mark.parametrize(
    "name", ["a model.tflite", 'it\'s "a" $(reboot) `model`;\n.tflite', "-rf *.tflite", "…/ü.tflite"]
)
def test_the_name_of_a_file_is_nothing_to_the_board(
    board: Board, tflite_int8: TFLiteModel, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(tflite_int8.path.read_bytes())
    target = opened(board.target())
    loaded = target.load(TFLiteModel(file, tflite_int8.inputs, tflite_int8.outputs))
    assert loaded.run({"image": np.zeros((1, 8, 8, 3), np.int8)})["logits"].dtype == np.int8
    target.runner.close()
    assert {p.suffix for p in board.store.iterdir()} <= {"", ".lock"}


def refused(board: Board, match: str, kind: type[Exception] = NotAvailable, **options: Any) -> Any:
    """The failure of a board to be reached, which ends in time and leaves nothing there."""
    begin = time.monotonic()
    with pytest.raises(kind, match=match) as failed:
        opened(board.target(**options))
    assert time.monotonic() - begin < 30
    assert board.quiet()
    error: Any = failed.value
    assert error.where and error.remedy
    return error


def test_a_key_that_it_does_not_take(board: Board, tmp_path: Path) -> None:
    error = refused(board, "doesn't let us in: Permission denied", key=keygen(tmp_path / "other"))
    assert "authorized_keys" in error.remedy


@pytest.mark.parametrize("passphrase", [True, False])
def test_a_key_that_is_none(board: Board, tmp_path: Path, passphrase: bool) -> None:
    key = keygen(tmp_path / "key")
    if passphrase:
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(key)], check=True)
    else:
        key.write_text("no key")
    assert "ssh-agent" in refused(board, "can't be used to log in", BadInput, key=key).remedy


def test_a_key_file_that_is_not_there(board: Board, tmp_path: Path) -> None:
    refused(board, "there is no key", BadInput, key=tmp_path / "nothing")


def test_a_host_that_is_not_known(board: Board, tmp_path: Path) -> None:
    for file in (tmp_path / "nothing", tmp_path / "of another"):
        error = refused(board, "is not known yet", known_hosts=file)
        assert f"ssh-keyscan -p {board.port} 127.0.0.1" in error.remedy
        (tmp_path / "of another").write_text(f"[127.0.0.2]:22 {board.public_host_key}\n")


def test_a_host_with_another_key_than_before(board: Board, tmp_path: Path) -> None:
    other = Path(f"{keygen(tmp_path / 'other')}.pub").read_text()
    (tmp_path / "known").write_text(f"[127.0.0.1]:{board.port} {other}")
    error = refused(board, "has another host key than the one that is known", known_hosts=tmp_path / "known")
    assert f"ssh-keygen -R '[127.0.0.1]:{board.port}'" in error.remedy


def test_a_port_where_nobody_listens(board: Board) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "port=N" in refused(board, "has no sshd on this port", port=port).remedy


def test_a_host_that_there_is_not(board: Board) -> None:
    with pytest.raises(NotAvailable, match=r"no-such-board\.invalid can't be found"):
        opened(f"ssh:pi@no-such-board.invalid,key={board.key}")


@pytest.mark.parametrize(
    ("says", "closes"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
        (b"", False),
        (b"", True),
        (b"SSH-2.0-OpenSSH_9.2\r\n", True),
        (b"SSH-2.0-OpenSSH_9.2\r\n" + bytes(range(256)), True),
    ],
)
def test_what_listens_there_is_no_sshd(
    board: Board, monkeypatch: pytest.MonkeyPatch, says: bytes, closes: bool
) -> None:
    """Or one that goes in the middle of the login."""
    monkeypatch.setattr(ssh, "_LOGIN_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(says)
                connection.settimeout(20)
                while not closes and connection.recv(1 << 16):
                    pass

        threading.Thread(target=serve, daemon=True).start()
        refused(board, "doesn't answer as an sshd does|can't be reached", port=server.getsockname()[1])


def test_what_the_user_keeps_for_ssh_counts(
    board: Board, tflite_int8: TFLiteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    lines = ["Host attic", "HostName 127.0.0.1", f"User {getpass.getuser()}", f"Port {board.port}"]
    lines += [f"IdentityFile {board.key}", f"UserKnownHostsFile {board.known_hosts}"]
    (tmp_path / ".ssh" / "config").write_text("\n".join(lines))
    monkeypatch.setenv("HOME", str(tmp_path))
    target = opened(f"ssh:attic,python={sys.executable},workdir={tmp_path}/there")
    assert target.load(tflite_int8).receipt.ran == "XNNPACK"
    target.runner.close()
    assert (tmp_path / "there" / sha256(tflite_int8.path)).is_file() and board.quiet()


def test_no_python_there(board: Board) -> None:
    error = refused(board, "there is no Python there under this name", NotAvailable, python="python2.4")
    assert "python=PATH" in error.remedy


def test_a_python_of_another_architecture(board: Board, tmp_path: Path) -> None:
    foreign = tmp_path / "python3"
    machine, executable = 0xF3 if os.uname().machine != "riscv64" else 0xB7, 2
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", executable, machine, 1, 0, 64, 0, 0, 64, 56, 0, 0, 0, 0)
    )
    foreign.write_bytes(head)
    foreign.chmod(0o755)
    error = refused(board, "can't be executed: it is of another architecture", NotAvailable, python=foreign)
    assert any("xec format error" in line for line in error.details)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python without any package."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    return folder / "bin" / "python"


def test_no_litert_there(board: Board, bare: Path) -> None:
    error = refused(board, "No module named 'numpy'", NotAvailable, python=bare)
    version = ".".join(map(str, sys.version_info[:2]))
    assert f"--python-version {version} --platform manylinux_2_27_{os.uname().machine}" in error.remedy


def test_litert_that_is_brought_there(board: Board, bare: Path, tflite_int8: TFLiteModel, tmp_path: Path) -> None:
    import ai_edge_litert

    site, folder = Path(ai_edge_litert.__file__).parents[1], tmp_path / "pack ages"
    for name in ("ai_edge_litert", "numpy", "numpy.libs"):
        shutil.copytree(site / name, folder / name)
    with Worker(board.target(python=bare, packages=folder), tflite_int8) as worker:
        assert worker.version == ai_edge_litert.__version__
        assert worker.run({"image": np.zeros((1, 8, 8, 3), np.int8)})["logits"].dtype == np.int8
        assert worker.receipt.ran == "XNNPACK"


def test_packages_of_another_architecture(board: Board, bare: Path, tmp_path: Path) -> None:
    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}-{os.uname().machine}-linux-gnu"
    (tmp_path / f"numpy.{tag}.so").write_bytes(
        b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, 0xF3) + bytes(200)
    )
    refused(board, "ELF|cannot open shared", NotAvailable, python=bare, packages=tmp_path)


def test_packages_that_are_not_there(board: Board, bare: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        opened(board.target(python=bare, packages=tmp_path / "nothing"))
    assert board.quiet()


def test_a_board_that_runs_another_command(tmp_path: Path) -> None:
    with Board(tmp_path, command="echo only git is allowed here >&2; exit 128") as board:
        error = refused(board, "ended with exit code 128 before it could run anything", RuntimeFailure)
        assert error.details == ("only git is allowed here",)


def test_a_board_that_lets_nothing_be_run(tmp_path: Path) -> None:
    with Board(tmp_path, setting="MaxSessions 0") as board:
        refused(board, "lets nothing be run: open failed")


def test_a_python_in_the_home_of_the_boards_user(tmp_path: Path) -> None:
    (tmp_path / "its home").mkdir()
    python = tmp_path / "its home" / "my python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with Board(tmp_path / "board", command=f'HOME="{tmp_path}/its home" exec sh -c "$SSH_ORIGINAL_COMMAND"') as board:
        target = opened(board.target(python="~/my python", workdir="~/models"))
        assert target.store.put(target.runner, board.host_key) == str(  # type: ignore[attr-defined]
            tmp_path / "its home" / "models" / sha256(board.host_key)
        )
        target.runner.close()


def test_a_board_that_greets(tmp_path: Path, tflite_int8: TFLiteModel) -> None:
    with Board(tmp_path, command='echo "Welcome to $(hostname)"; eval "$SSH_ORIGINAL_COMMAND"') as board:
        target = opened(board.target())
        assert target.load(tflite_int8).receipt.ran == "XNNPACK"
        target.runner.close()
        assert board.quiet()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("ssh", "'' is no USER@HOST"),
        ("ssh:pi@", "is no USER@HOST"),
        ("ssh:@board", "is no USER@HOST"),
        ("ssh:pi@my board", "is no USER@HOST"),
        ("ssh:pi@board:pi:22", "is no USER@HOST"),
        ("ssh:pi@board:22", "write ssh:pi@board,port=22"),
        ("ssh:[::1]:22", "write ssh:\\[::1\\],port=22"),
        ("ssh:-oProxyCommand=reboot", "is no USER@HOST"),
        ("ssh:pi@board,port=ssh", "port=ssh: it is a whole number from 1 to 65535"),
        ("ssh:pi@board,port=70000", "from 1 to 65535"),
        ("ssh:pi@board,cache_mb=-1", "from 1 to 1000000"),
        ("ssh:pi@board,password=secret", "ssh has no option 'password'"),
    ],
)
def test_an_address_that_is_none(target: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        get(target)
    if target != "ssh":
        with pytest.raises(BadInput, match=said):  # before anything is converted
            find(target)


def test_what_is_said_where_there_is_no_wheel() -> None:
    """The oldest Raspberry Pi OS is of 32 bits: no `pip install` would help."""
    target: Any = get("ssh:pi@board")
    told = [target.remedy(SimpleNamespace(place={"python": "3.11.2", "machine": m})) for m in ("armv7l", "aarch64")]
    assert told[0] == "LiteRT comes for aarch64 and x86_64, and this is armv7l: give the board a 64-bit system"
    assert "--python-version 3.11 --platform manylinux_2_27_aarch64" in told[1]


def test_without_an_address_it_cannot_run() -> None:
    assert find("ssh").missing() == "it needs an address: ssh:USER@HOST; write --target ssh:USER@HOST"
    assert find("ssh:pi@board").missing() is None
    given = find("ssh:pi@board,key=~/secret,known_hosts=k,workdir=/data,cache_mb=5,python=python3.12,port=7")
    assert given.title == "TFLite on a board (pi@board, python=python3.12, port=7)"
    assert given.options["cache_mb"] == 5
    assert ssh.SshAddress.parse("pi@[fe80::1]").host == "fe80::1"
    assert ssh.SshAddress.parse("pi@::1", port=7).shown == "pi@[::1]:7"
    assert ssh.SshAddress.parse("board").user == ""
