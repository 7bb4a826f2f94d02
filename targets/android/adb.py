"""The program adb: which devices there are, a command on one of them, a file to it.

It is called by lists of arguments, never through a shell of this machine; what a device's shell reads is quoted by
``shlex``. adb ends with 0 when a connection is cut in the middle of a command, so every command tells its own exit
code as its last line, and one without is no answer.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ... import kits
from ...errors import NotAvailable, RuntimeFailure
from ..remote.there.runner import BEAT_S

INSTALL = "edgeworthy targets install adb, or have the adb of Debian or of Android's SDK on the PATH"
ANSWER_S = 30.0
"""Time for what a device does at once."""

_KIT = "adb"
_PORT = "5037"
_IN_KIT = "root/usr/lib/android-sdk/platform-tools/adb"
_PUSH_S = 15.0
_BYTES_A_SECOND = 500_000
"""A slower connection counts as hung."""

_SILENT_S = 30
"""A guard that heard nothing for so long has no host any more."""

_ENDED = "\nprintf '\\nexit %d\\n' $?"
_EXIT = re.compile(rb"\nexit (\d+)\n\Z")
_LISTED = re.compile(r"^(?P<serial>\S+)\s+(?P<state>no permissions|[a-z]+)\b")
_READY = "device"
_STATES = {
    "unauthorized": ("has not authorized this machine", "unlock it and allow USB debugging there"),
    "authorizing": ("has not authorized this machine yet", "unlock it and allow USB debugging there"),
    "offline": ("is offline", "plug it in again, or restart it"),
    "no permissions": (
        "can't be opened by this user",
        "install udev rules (Debian: android-udev-rules), plug it in again",
    ),
    "recovery": ("is in recovery", "let it start Android"),
    "sideload": ("is in sideload", "let it start Android"),
    "bootloader": ("is in its bootloader", "let it start Android"),
}
"""What ``adb devices`` says of one that can't be used → what that means, and what helps."""

_GONE = "is gone: unplugged, switched off, or restarting", "plug it in, wait until it is up, and run it again"
_BACK = "is there again, but was cut off: it restarted, or adb's server did", "run it again"
_AT_ONCE = {state: said for state, said in _STATES.items() if state != "offline"}
"""What a connection that was cut can be due to: one over a network is offline before it is gone."""

_REFUSALS = {
    "No space left": ("has no room left", "free some of its storage"),
    "Read-only file system": ("can't be written there", "name another folder with workdir=FOLDER"),
    "Permission denied": ("can't be written there", "name another folder with workdir=FOLDER"),
}
"""What its file system says → what is wrong, and what helps."""


def program() -> tuple[str, ...] | None:
    """The beginning of its command line, from the PATH, Android's SDK or the kit; None where there is none."""
    sdks = [os.environ[name] for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT") if os.environ.get(name)]
    folders = [os.environ.get("PATH", ""), *(str(Path(sdk, "platform-tools")) for sdk in sdks)]
    if found := shutil.which("adb", path=os.pathsep.join(folders)):
        return (found,)
    kit = kits.KITS[_KIT]
    if kits.look(kit).status != "ready":
        return None
    used = kits.launch(kit)
    variables = (f"{name}={value}" for name, value in used.environment.items())
    return ("/usr/bin/env", *variables, str(used.folder / _IN_KIT))


def typed(*words: str) -> str:
    """A command of adb as it can be typed here: a kit's isn't on the PATH, and needs its libraries."""
    command = program()
    if command is None or shutil.which("adb") == command[-1]:
        command = ("adb",)
    return shlex.join([*command, *words])


def version() -> str | None:
    """The installed version; None without adb. It starts no server."""
    command = program()
    if command is None:
        return None
    try:
        told = _call([*command, "version"]).stdout.decode(errors="replace")
    except (NotAvailable, subprocess.TimeoutExpired):
        return None
    found = re.search(r"^Version (\S+)", told, re.M) or re.search(r"version (\S+)", told)
    return found[1] if found else "unknown"


def unserved() -> str | None:
    """Why a look at devices would start adb's server, which stays; None where one runs, or adb tells itself."""
    spec = os.environ.get("ADB_SERVER_SOCKET", "")
    name, port = os.environ.get("ANDROID_ADB_SERVER_ADDRESS", "localhost"), os.environ.get("ANDROID_ADB_SERVER_PORT")
    if spec:
        kind, _, place = spec.partition(":")
        if kind != "tcp":
            return None
        host, _, port = place.rpartition(":")
        name = host or "localhost"
    if not (port or _PORT).isdecimal() or program() is None:
        return None
    try:
        socket.create_connection((name, int(port or _PORT)), timeout=1).close()
    except OSError:
        start = "edgeworthy targets doctor android"  # with whichever adb it has, on the PATH or in a kit
        return f"adb's server isn't running, and a list starts none; start it ({start} does), and list again"
    return None


def parse_devices(text: str) -> dict[str, str]:
    """Serial → state of a list of ``adb devices``."""
    found = (_LISTED.match(line) for line in text.splitlines() if not line.startswith(("*", "List of devices")))
    return {match["serial"]: match["state"] for match in found if match}


def devices() -> dict[str, str]:
    """Serial → state of every device; starts adb's server where there is none.

    Raises:
        NotAvailable: there is no adb, or its server can't be reached.
    """
    command = program()
    if command is None:
        raise NotAvailable("adb is not installed", where="android", remedy=INSTALL)
    path = command[-1]
    remedy = f"end what holds its port ({typed('kill-server')}), and see that `{typed('devices')}` works"
    try:
        ran = _call([*command, "devices"])
    except subprocess.TimeoutExpired:
        raise NotAvailable("adb's server doesn't answer", where=path, remedy=remedy) from None
    if ran.returncode:
        raise NotAvailable("adb can't reach its server", where=path, details=_lines(ran.stderr), remedy=remedy)
    return parse_devices(ran.stdout.decode(errors="replace"))


def choose(serial: str) -> Adb:
    """The device of this serial, or the only one that is ready.

    Raises:
        NotAvailable: it isn't there or not ready, there is none, or there are several and none is named.
    """
    there = devices()
    listed = [f"{name}: {state}" for name, state in there.items()]
    if serial and serial not in there:
        connect = typed("connect", serial) if ":" in serial else "plug it in"
        raise NotAvailable(
            f"there is no device {serial!r}",
            where=f"android:{serial}",
            details=listed,
            remedy=f"{connect}, or name one that is listed: `{typed('devices')}`",
        )
    if not there:
        remedy = "plug one in with USB debugging on (Developer options), or name one of your network: android:HOST:PORT"
        raise NotAvailable("no device is connected", where="android", remedy=remedy)
    ready = [name for name, state in there.items() if state == _READY]
    if not serial and len(ready) > 1:
        remedy = f"name one: android:{ready[0]}"
        raise NotAvailable(f"{len(ready)} devices are connected", where="android", details=listed, remedy=remedy)
    name = serial or (ready or list(there))[0]
    if there[name] != _READY:
        what, remedy = _STATES.get(there[name], (f"is not ready: {there[name]}", f"see `{typed('devices')}`"))
        raise NotAvailable(f"device {name} {what}", where=f"android:{name}", details=listed, remedy=remedy)
    return Adb(program() or ("adb",), name)


class CommandFailed(RuntimeFailure):
    """A command on a device ended with something else than 0.

    Attributes:
        code: Its exit code.
        said: What it printed.
    """

    code = 0
    said = b""


@dataclass(frozen=True)
class Adb:
    """One device, over the program."""

    program: tuple[str, ...]
    serial: str

    @property
    def where(self) -> str:
        return f"android:{self.serial}"

    def shell_command(self, command: str) -> list[str]:
        """The arguments of a process of this machine that runs a command there: no terminal, bytes as they are."""
        return [*self.program, "-s", self.serial, "shell", "-T", command]

    def shell(self, command: str, *, timeout_s: float | None = None) -> bytes:
        """What a command of the device's shell prints.

        Raises:
            CommandFailed: it ended with something else than 0.
            RuntimeFailure: the device went away, or doesn't answer.
        """
        try:
            ran = _call(self.shell_command(command + _ENDED), timeout_s)
        except subprocess.TimeoutExpired:
            raise self.failure(f"doesn't answer: a command took more than {timeout_s or ANSWER_S:g} s") from None
        code = _EXIT.search(ran.stdout)
        if code is None:
            raise self.cut(_lines(ran.stdout + ran.stderr))
        said = ran.stdout[: code.start()]
        if int(code[1]):
            failed = CommandFailed(
                f"{self.serial} ended a command with exit code {int(code[1])}",
                where=self.where,
                details=_lines(said + b"\n" + ran.stderr),
                remedy=f"see that the command is there: {typed('-s', self.serial, 'shell')}, and type it by hand",
            )
            failed.code, failed.said = int(code[1]), said
            raise self.refused(failed.details) or failed
        return said

    def push(self, path: Path, there: str) -> None:
        """Copy a file of ours to a path there.

        Raises:
            RuntimeFailure: there is no room, it can't be written, or the device went away.
        """
        limit = _PUSH_S + path.stat().st_size / _BYTES_A_SECOND
        try:
            ran = _call([*self.program, "-s", self.serial, "push", str(path.absolute()), there], limit)
        except subprocess.TimeoutExpired:
            raise self.failure(f"doesn't take {path.name}: it took more than {limit:.0f} s") from None
        if ran.returncode:
            said = _lines(ran.stdout + ran.stderr)
            raise self.refused(said) or self.cut(said)

    def failure(self, what: str, details: Sequence[str] = (), remedy: str | None = _GONE[1]) -> RuntimeFailure:
        """A failure of this device."""
        return RuntimeFailure(f"device {self.serial} {what}", where=self.where, details=details, remedy=remedy)

    def cut(self, said: Sequence[str]) -> RuntimeFailure:
        """Why the connection ended in the middle, as far as adb can tell now."""
        try:
            state = devices().get(self.serial)
        except NotAvailable as error:
            return self.failure(f"was cut off: {error.what}", [*said, *error.details], error.remedy)
        what, remedy = _BACK if state == _READY else _AT_ONCE.get(state or "", _GONE)
        return self.failure(what, said, remedy)

    def refused(self, said: Sequence[str]) -> RuntimeFailure | None:
        """What its file system said, if it did."""
        for words, (what, remedy) in _REFUSALS.items():
            if any(words in line for line in said):
                return self.failure(what, said, remedy)
        return None


def words(*parts: str, environment: Mapping[str, str] | None = None) -> str:
    """A command line for a device's shell, every part quoted."""
    variables = [f"{name}={value}" for name, value in (environment or {}).items()]
    return shlex.join([*(["env", *variables] if variables else []), *parts])


def guarded(command: str, left: str = "") -> str:
    """One program, as a command that kills it and removes what it has ``left`` once its stdin ends, or is silent.

    That is when this process, adb or the connection goes: a device goes on with what it was told to do otherwise. Where
    packets are lost nothing ends, and the lines stop that ``_call`` sends.
    """
    # What holds its stdin holds its stdout, which is the same socket: the guard is the shell itself, with no child.
    # Android's shell catches SIGTERM and forgets one that comes right after its fork: the guard would stay for ever.
    guard = f"(while read -r -t {_SILENT_S} _ <&3; do :; done; kill -9 $p; rm -f -- {left}) >/dev/null 2>&1 & w=$!"
    return f"exec 3<&0; (exec {command}) </dev/null 2>&1 3<&- & p=$!; {guard}; wait $p; c=$?; kill -9 $w; (exit $c)"


def _call(command: Sequence[str], timeout_s: float | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run adb. Its stdin stays open until it ends, with a line now and then: see ``guarded``."""
    read, write = os.pipe()
    until = time.monotonic() + (timeout_s or ANSWER_S)
    try:
        with subprocess.Popen(command, stdin=read, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                out, err = _awaited(process, until, write)
            except BaseException:
                process.kill()
                raise
            return subprocess.CompletedProcess(command, process.returncode, out, err)
    except OSError as error:
        raise NotAvailable(f"adb can't be started: {error.strerror}", where=command[0], remedy=INSTALL) from error
    finally:
        os.close(read)
        os.close(write)


def _awaited(process: subprocess.Popen[bytes], until: float, stdin: int) -> tuple[bytes, bytes]:
    """Its stdout and stderr once it has ended; subprocess.TimeoutExpired at ``until``."""
    while True:
        try:
            return process.communicate(timeout=max(0.0, min(BEAT_S, until - time.monotonic())))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= until:
                raise
            os.write(stdin, b"\n")


def _lines(said: bytes) -> list[str]:
    return [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()][-20:]
