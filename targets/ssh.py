"""TFLite files on a Linux board that has an SSH server: a Raspberry Pi, a Jetson, another computer."""

from __future__ import annotations

from pathlib import Path

from .. import kits
from ..artifact import Artifact
from ..errors import BadInput
from .info import Setting, TargetInfo, between
from .remote.runner import RemoteRunner
from .remote.session import RemoteTarget
from .remote.ssh import SshAddress, SshPipe
from .remote.store import RemoteStore
from .tflite import KERNELS, Kernels

_MB = 1_000_000
_MACHINES = ("aarch64", "x86_64")
"""What ai-edge-litert has wheels for, on Linux."""


class Ssh(RemoteTarget):
    """LiteRT's interpreter on a board.

    Args:
        address: ``USER@HOST``.
        port, key, known_hosts: See ``SshAddress``.
        python: The Python there.
        workdir: Folder there for the files that are sent.
        cache_mb: Megabytes that it may hold.
        packages: Folder here with packages for the board's Python, for a board that has no LiteRT.
        kernels: As ``tflite``'s.
    """

    def __init__(
        self,
        *,
        address: str = "",
        port: int = 0,
        key: str = "",
        known_hosts: str = "",
        python: str = "python3",
        workdir: str = RemoteStore.folder,
        cache_mb: int = RemoteStore.limit // _MB,
        packages: str = "",
        kernels: Kernels = "xnnpack",
    ) -> None:
        self.address = SshAddress.parse(address, port=port, key=key, known_hosts=known_hosts)
        self.name = f"ssh:{address}"
        self.python = python
        self.store = RemoteStore(workdir, cache_mb * _MB)
        self.own_packages = packages
        self.options = {"kernels": kernels}

    def start(self) -> RemoteRunner:
        pipe = SshPipe(self.address, self.python)
        return RemoteRunner(pipe, self.backend, name=self.name, where=self.address.shown)

    def file(self, runner: RemoteRunner, artifact: Artifact) -> str:
        return self.store.put(runner, artifact.path)

    def packages(self, runner: RemoteRunner) -> Path | None:
        """The user's folder, or those of the kit ``arm64`` where they fit: they are of one Python and one machine."""
        if self.own_packages:
            folder = Path(self.own_packages).expanduser()
            if not folder.is_dir():
                raise BadInput(
                    "there is no such folder",
                    where=f"packages={folder}",
                    remedy="name a folder of this machine with the packages in it, or leave packages out",
                )
            return folder
        state = kits.look(kits.KITS["arm64"])
        fits = runner.place["machine"] == "aarch64" and runner.place["python"].startswith("3.11.")
        return kits.launch(state.kit).folder / "site" if fits and state.status == "ready" else None

    def unpacked(self, runner: RemoteRunner, packages: Path) -> str:
        return self.store.put_folder(runner, packages)

    def remedy(self, runner: RemoteRunner) -> str:
        python, machine = runner.place["python"].rpartition(".")[0], runner.place["machine"]
        if machine not in _MACHINES:
            return f"LiteRT comes for {' and '.join(_MACHINES)}, and this is {machine}: give the board a 64-bit system"
        return (
            f"install it there (pip install ai-edge-litert), or here (pip install --target DIR --only-binary=:all: "
            f"--python-version {python} --platform manylinux_2_27_{machine} ai-edge-litert) and name packages=DIR"
        )


TARGETS = (
    TargetInfo(
        "ssh",
        title="TFLite on a board",
        summary="TFLite on a Linux board over SSH, such as a Raspberry Pi",
        kind=Ssh.kind,
        module="asyncssh",
        distributions=("asyncssh",),
        install="pip install 'edgeworthy[ssh]'",
        make=Ssh,
        address="USER@HOST",
        place=SshAddress.parse,
        needs_address=True,
        settings={
            "port": Setting("of its sshd; default: as ~/.ssh/config says, or 22", between(1, 65535), "N"),
            "key": Setting(
                "file of a private key; default: as ~/.ssh/config and ssh-agent say", metavar="FILE", way=True
            ),
            "known_hosts": Setting("file of host keys; default: ~/.ssh/known_hosts", metavar="FILE", way=True),
            "python": Setting("the Python there; default: python3", metavar="PATH"),
            "workdir": Setting(
                f"folder there for what is sent; default: {RemoteStore.folder}", metavar="FOLDER", way=True
            ),
            "cache_mb": Setting(
                f"megabytes that it may hold; default: {RemoteStore.limit // _MB}", between(1, 1_000_000), "N", way=True
            ),
            "packages": Setting("folder here with LiteRT for a board that has none", metavar="FOLDER"),
            "kernels": KERNELS,
        },
        measured="device",
    ),
)
