"""A board: a real sshd of this machine's on 127.0.0.1, with keys of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil  # type: ignore[import-untyped]
import pytest

from edgeworthy import kits

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
NEEDED = pytest.mark.skipif(
    not Path(SSHD).exists() or importlib.util.find_spec("asyncssh") is None,
    reason="needs asyncssh, and an sshd: apt-get install openssh-server",
)
_START_S = 10


def keygen(path: Path) -> Path:
    """A key pair; the private one's path."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@dataclass
class Board:
    """An sshd and its files.

    Attributes:
        folder: Where its keys and its log are, and the folder that files are sent to.
        command: What it runs, as sh reads it, in place of what it is asked to; that is ``$SSH_ORIGINAL_COMMAND``.
        setting: One more line of its configuration.
        inside: The beginning of a command that runs where it listens, such as in a network of its own.
    """

    folder: Path
    command: str = ""
    setting: str = ""
    inside: Sequence[str] = ()
    port: int = 0
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.host_key, self.key = keygen(self.folder / "host"), keygen(self.folder / "user")
        shutil.copy(f"{self.key}.pub", self.folder / "authorized_keys")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.know()

    def know(self) -> None:
        """Take its host key into ``known_hosts``."""
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {self.public_host_key}\n")

    @property
    def public_host_key(self) -> str:
        return Path(f"{self.host_key}.pub").read_text().rpartition(" ")[0]

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def store(self) -> Path:
        return self.folder / "its store"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _forced(self) -> Path:
        script = self.folder / "command"
        script.write_text(f"#!/bin/sh\n{self.command}\n")
        script.chmod(0o755)
        return script

    def start(self) -> None:
        config = self.folder / "sshd_config"
        forced = self._forced() if self.command else "none"
        lines = [
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.host_key}", "UsePAM no", "StrictModes no",
            f"AuthorizedKeysFile {self.folder}/authorized_keys", f"PidFile {self.folder}/pid", "PermitRootLogin yes",
            "PasswordAuthentication no", "LogLevel VERBOSE", self.setting, f"ForceCommand {forced}",
        ]  # fmt: skip
        config.write_text("\n".join(lines) + "\n")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd wants to be locked into
        with (self.folder / "log").open("ab") as log:
            started = subprocess.Popen([*self.inside, SSHD, "-D", "-e", "-f", str(config)], stdout=log, stderr=log)
        self.processes.append(started)
        until = time.monotonic() + _START_S
        while True:
            if self.listens():
                return
            if started.poll() is not None or time.monotonic() > until:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.05)

    def listens(self) -> bool:
        reach = f"import socket; socket.create_connection(('127.0.0.1', {self.port}), 1)"
        tried = subprocess.run([*self.inside, sys.executable, "-c", reach], capture_output=True, check=False)
        return tried.returncode == 0

    def stop(self) -> None:
        """Power off: sshd and everything that it started, at once."""
        for process in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                all_of_them = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                for one in all_of_them:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.kill()
            process.wait()
        self.processes.clear()

    def sessions(self) -> list[psutil.Process]:
        """What sshd started: its processes of connections, and what runs in them."""
        return [p for process in self.processes for p in psutil.Process(process.pid).children(recursive=True)]

    def quiet(self) -> bool:
        """Whether all that was started over SSH ends within a few seconds."""
        return not psutil.wait_procs(self.sessions(), timeout=5)[1]

    def target(self, **options: Any) -> str:
        """As ``--target`` takes it."""
        said = {
            "port": self.port,
            "key": self.key,
            "known_hosts": self.known_hosts,
            "python": sys.executable,
            "workdir": self.store,
            **options,
        }
        user = pwd.getpwuid(os.getuid()).pw_name
        return ",".join([f"ssh:{user}@127.0.0.1", *(f"{name}={value}" for name, value in said.items())])


_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
_BINFMT = "/proc/sys/fs/binfmt_misc"


def arm_python() -> Path:
    """The Python of the kit ``arm64``, as an Arm board has it."""
    return kits.look(kits.KITS["arm64"]).folder / "root/usr/bin/python3.11"


def arm_board(folder: Path) -> Board | None:
    """A board with an Arm processor: the kit ``arm64`` behind sshd, run by QEMU as Linux runs any program.

    Its user has a private table of binary formats (Linux 6.7), so that this machine's stays as it is; None where the
    kernel gives none.
    """
    root = kits.look(kits.KITS["arm64"]).folder
    enter = f"""
mount -t binfmt_misc none {_BINFMT} || exit 97
printf '%s' ':arm64:M::{_MAGIC}:{_MASK}:{root}/qemu/usr/bin/qemu-aarch64:F' > {_BINFMT}/register || exit 97
export QEMU_LD_PREFIX={root}/root PYTHONHOME={root}/root/usr
"""
    folder.mkdir(parents=True, exist_ok=True)
    script, attempt = folder / "enter", folder / "try"
    script.write_text(f'{enter}exec sh -c "$SSH_ORIGINAL_COMMAND"\n')
    attempt.write_text(f"{enter}{arm_python()} -c 0\n")
    if subprocess.run(["unshare", "-r", "-m", "sh", str(attempt)], capture_output=True, check=False).returncode:
        return None
    return Board(folder / "board", command=f"exec unshare -r -m sh {script}")
