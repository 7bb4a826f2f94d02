"""A runner on a board, over SSH (asyncssh): a connection, a command, and what can go wrong with both."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import shlex
import socket
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from ...errors import BadInput, NotAvailable
from .there.runner import BEAT, BEAT_S, BOOTSTRAP

T = TypeVar("T")

_LOGIN_S = 20
_KEEPALIVE_S, _KEEPALIVES = 5, 4
"""A board that answers nothing for so long is gone."""

_CLOSE_S = 5


@dataclass(frozen=True)
class SshAddress:
    """Where a board is, and how its user is let in. What is empty is as ``~/.ssh/config`` and OpenSSH's defaults say.

    Attributes:
        host: Name or address.
        user: Of that host.
        port: Of its sshd; 0 for the default.
        key: File of a private key.
        known_hosts: File of the keys of hosts.
    """

    host: str
    user: str = ""
    port: int = 0
    key: str = ""
    known_hosts: str = ""

    @classmethod
    def parse(cls, text: str, **options: Any) -> SshAddress:
        """Read ``USER@HOST``; an IPv6 address may stand in brackets. BadInput if it is none, or has a port."""
        user, at, host = text.rpartition("@")
        port = re.fullmatch(r"([^:]+|\[.*\]):(\d+)", host)
        if port:
            remedy = f"write ssh:{user}{at}{port[1]},port={port[2]}"
            raise BadInput(f"{text!r} has a port, which is an option", where="--target ssh", remedy=remedy)
        host = host.removeprefix("[").removesuffix("]")
        if bool(at) != bool(user) or not re.fullmatch(r"[^\s/-][^\s/]*", host) or (":" in host and not _is_ipv6(host)):
            raise BadInput(f"{text!r} is no USER@HOST", where="--target ssh", remedy="write ssh:USER@HOST")
        return cls(host, user, **options)

    @property
    def shown(self) -> str:
        """``USER@HOST:PORT``"""
        host = f"[{self.host}]" if self.port and ":" in self.host else self.host
        return f"{self.user}{'@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"

    @property
    def flags(self) -> str:
        """The place, as arguments of OpenSSH's programs."""
        return f"-p {self.port} {self.host}" if self.port else self.host

    def check_key(self) -> None:
        """Raise BadInput when there is no such file as the key's."""
        if self.key and not Path(self.key).expanduser().is_file():
            raise BadInput(
                f"there is no key {self.key}", where="--target ssh", remedy="name a private key with key=FILE"
            )

    def known(self) -> bool:
        """Whether there is any key of this host."""
        import asyncssh

        path = Path(self.known_hosts or "~/.ssh/known_hosts").expanduser()
        if not path.is_file():
            return False
        return any(map(len, asyncssh.match_known_hosts(str(path), self.host, "", self.port or None)))

    async def connect(self) -> Any:
        """An ``asyncssh.SSHClientConnection``; the host's key is checked, and nothing is asked of the user."""
        import asyncssh

        known = Path(self.known_hosts).expanduser()
        said = {
            "username": self.user,
            "port": self.port,
            "client_keys": self.key and [str(Path(self.key).expanduser())],
            "known_hosts": self.known_hosts and (str(known) if known.is_file() else b"\n"),
        }
        return await asyncssh.connect(
            self.host,
            connect_timeout=_LOGIN_S,
            login_timeout=_LOGIN_S,
            keepalive_interval=_KEEPALIVE_S,
            keepalive_count_max=_KEEPALIVES,
            **{name: value for name, value in said.items() if value},
        )


class SshPipe:
    """``PYTHON -c BOOTSTRAP`` on a board, a ``Pipe``. A thread serves its connection, so that it stays alive.

    Raises:
        NotAvailable: the board can't be reached, doesn't let us in or nothing be run, or isn't the one that we know.
        BadInput: the key can't be read.
    """

    def __init__(self, address: SshAddress, python: str) -> None:
        address.check_key()
        self._connection: Any = None
        self._beats: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self._connection = self._connect(address)
            self._process = self.wait(self._started(f"exec {_quoted(python)} -c {shlex.quote(BOOTSTRAP)}"))
        except ConnectionError as error:
            self.close()
            what, remedy = f"{address.shown} lets nothing be run: {error}", "see what its sshd allows this user"
            raise NotAvailable(what, where=address.shown, remedy=remedy) from error
        except BaseException:
            self.close()
            raise
        self.stdin = cast(BinaryIO, _Stdin(self))
        self.stdout = cast(BinaryIO, _Stdout(self, self._process))

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What a coroutine gives, in the connection's thread; ConnectionError when the connection fails."""
        import asyncssh

        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except asyncssh.Error as error:
            raise ConnectionError(error.reason) from error
        finally:
            future.cancel()

    def ended(self) -> tuple[str, list[str]]:
        process, said = self._process, b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            self.wait(asyncio.wait_for(process.wait_closed(), _CLOSE_S))
            said = self.wait(asyncio.wait_for(process.stderr.read(), _CLOSE_S))
        lines = said.decode(errors="replace").splitlines()
        if process.exit_signal:
            return f"SIG{process.exit_signal[0]}", lines
        if process.exit_status is None or process.exit_status < 0:
            return "the connection was lost", lines
        return f"exit code {process.exit_status}", lines

    def close(self) -> None:
        if self._loop.is_closed():
            return
        with contextlib.suppress(TimeoutError, ConnectionError):
            self.wait(asyncio.wait_for(self._disconnect(), _CLOSE_S))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _started(self, command: str) -> Any:
        return await self._connection.create_process(command, encoding=None)

    async def write(self, data: bytes) -> None:
        """Hand bytes in; behind the first is a beat, and others follow.

        Where packets are lost its sshd doesn't notice for hours: what runs there misses our beats.
        """
        if self._beats is None:
            data += BEAT
            self._beats = asyncio.create_task(self._beat())
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    async def _beat(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                await asyncio.sleep(BEAT_S)
                self._process.stdin.write(BEAT)

    async def _disconnect(self) -> None:
        if self._beats is not None:
            self._beats.cancel()
        if self._connection is not None:
            self._connection.close()
            await self._connection.wait_closed()

    def _connect(self, address: SshAddress) -> Any:
        import asyncssh

        future = asyncio.run_coroutine_threadsafe(address.connect(), self._loop)
        try:
            return future.result()
        except (asyncssh.KeyImportError, asyncssh.ConfigParseError) as error:
            raise BadInput(
                f"this can't be used to log in at {address.shown}: {error}",
                where=address.key or "~/.ssh",
                remedy="name a private key with key=FILE; load one that has a passphrase into ssh-agent",
            ) from error
        except (asyncssh.Error, OSError) as error:
            raise _unreachable(address, error) from error
        finally:
            future.cancel()


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _quoted(path: str) -> str:
    """A path as a word of a shell, which finds the user's home in it."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)


def _unreachable(address: SshAddress, error: Exception) -> NotAvailable:
    """Why a board can't be reached, in words of the user's."""
    import asyncssh

    port, scan = address.port or 22, f"ssh-keyscan {address.flags}"
    match error:
        case asyncssh.HostKeyNotVerifiable() if address.known():
            what = "has another host key than the one that is known: it was set up anew, or it is another machine"
            name = f"[{address.host}]:{port}" if port != 22 else address.host
            remedy = f"if it was set up anew: ssh-keygen -R '{name}', and take its new key in (ssh {address.flags})"
        case asyncssh.HostKeyNotVerifiable():
            what = "is not known yet: there is no host key of it"
            remedy = f"compare what {scan} | ssh-keygen -lf - prints with the board's, and connect once with ssh"
        case asyncssh.PermissionDenied():
            what = f"doesn't let us in: {error.reason}"
            remedy = "put your public key into its ~/.ssh/authorized_keys (ssh-copy-id), or name another with key=FILE"
        case ConnectionRefusedError():
            what, remedy = "has no sshd on this port", "start it, or name another port with port=N"
        case socket.gaierror():
            what, remedy = f"can't be found: {error.strerror}", "check the name"
        case TimeoutError() | asyncssh.ConnectionLost():
            what, remedy = "doesn't answer as an sshd does", "see that it is up, and that this is its port"
        case _:
            what, remedy = "can't be reached", "try it with ssh -v"
    details = [str(error)] if str(error) else []
    return NotAvailable(f"{address.shown} {what}", where=address.shown, details=details, remedy=remedy)


class _Stdin:
    def __init__(self, pipe: SshPipe) -> None:
        self._pipe = pipe

    def write(self, data: bytes) -> None:
        """Hand bytes in, as fast as the board takes them."""
        self._pipe.wait(self._pipe.write(data))

    def flush(self) -> None:
        """``write`` has waited for them already."""


class _Stdout:
    def __init__(self, pipe: SshPipe, process: Any) -> None:
        self._pipe, self._process = pipe, process

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        data: bytes = self._pipe.wait(self._process.stdout.read(size))
        return data
