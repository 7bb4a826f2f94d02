"""The program that runs models in another place: on a board, under an emulator, in an environment of its own.

It is sent there as text and stores nothing of itself: ``python -c BOOTSTRAP`` reads it from stdin, and ``hello`` brings
the other files of this folder and a backend, as text as well. All of it runs on Python 3.9 and later with the standard
library alone; numpy is what the backend needs. Both ends of the talk are here, for the two sides to agree.

A frame is a length (4 bytes, big endian), a JSON object of that length, and blobs, whose lengths the object tells as
``sizes``. Arrays are blobs in C order, little endian, of which ``arrays`` tells names, dtypes and shapes. The host
sends a request, ``{"do": NAME, …}``, and gets one reply. What native code prints goes to a log, of which a reply has
the new lines, and never into the talk.

The process that is started only watches. It forks the one that serves, kills it when the host is gone, be it in the
middle of native code, and tells the host how it died when it does. A host whose connection may end without a word sends
beats, frames of length 0, which nothing answers: once there was one, silence is its end too.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import fcntl
import json
import mmap
import os
import select
import signal
import struct
import sys
import tempfile
import termios
import time
import traceback
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"edgeworthy runner 1\n"
"""What it says first. What comes before is from the shell of the place."""

BOOTSTRAP = (
    "import sys;sys.path[:]=filter(None,sys.path);s=sys.stdin.buffer;c=s.read(int(s.readline()));"
    "exec(compile(c,'runner.py','exec'),{'__name__':'edgeworthy_runner'})"
)
"""Takes a line with the length of this file's text, and the text. Nothing is imported from the current folder."""

BEAT = bytes(4)
BEAT_S = 5.0
"""How often a host sends one."""
_LOOK_S = 2.0
_LOOKS = 15
"""A host that sent a beat, and then nothing for so many looks, is gone."""

_MOST_HEADER = 1 << 26
_LOG_BYTES = 1 << 14
_PR_SET_PDEATHSIG = 1


def send(stream: BinaryIO, header: Mapping[str, Any], blobs: Sequence[Any] = ()) -> None:
    """Write one frame; ``blobs`` are of bytes."""
    text = json.dumps({**header, "sizes": [len(blob) for blob in blobs]}).encode()
    for piece in (struct.pack(">I", len(text)) + text, *blobs):
        stream.write(piece)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], list[bytearray]]:
    """Read one frame; EOFError when the stream ends before it does, ValueError when it is none. A beat is empty."""
    (length,) = struct.unpack(">I", _exactly(stream, 4))
    if not length:
        return {}, []
    if length > _MOST_HEADER:
        raise ValueError(f"this is no frame: it has a header of {length} bytes")
    header = json.loads(_exactly(stream, length))
    return header, [_exactly(stream, size) for size in header.pop("sizes")]


def _exactly(stream: BinaryIO, length: int) -> bytearray:
    data = bytearray()
    while len(data) < length:
        piece = stream.read(min(length - len(data), 1 << 20))
        if not piece:
            raise EOFError("the stream ended")
        data += piece
    return data


def pack(arrays: Mapping[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """Numpy arrays as the ``arrays`` of a header, and its blobs."""
    told = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    return {"arrays": told}, [array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays.values()]


def unpack(header: Mapping[str, Any], blobs: Iterable[bytearray]) -> dict[str, Any]:
    """What ``pack`` packed."""
    import numpy as np

    made = {}
    for (name, dtype, shape), blob in zip(header["arrays"], blobs):
        made[name] = np.frombuffer(blob, np.dtype(dtype).newbyteorder("<")).astype(dtype, copy=False).reshape(shape)
    return made


class PrintedLines:
    """What is printed from now on, kept in memory until it is taken: a place's disk may be full."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("log")
        else:
            with tempfile.TemporaryFile() as file:
                self._file = os.dup(file.fileno())
        for stream in (1, 2):
            os.dup2(self._file, stream)

    def take(self) -> list[str]:
        """The last lines; what there was is gone. All that write, here and in the fork, share one position in it."""
        size = os.fstat(self._file).st_size
        text = os.pread(self._file, _LOG_BYTES, max(0, size - _LOG_BYTES)).decode(errors="replace")
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        return text.splitlines()


class Requests:
    """What the host sends, as the process that serves reads it, and how much came, as the one that watches sees it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream: Any = stream
        self._shared = mmap.mmap(-1, 16)
        self._taken = 0

    def read(self, size: int) -> bytes:
        """At most so many bytes, as soon as there are any; none at the end."""
        data: bytes = self._stream.read1(size)
        self._taken += len(data)
        self._shared[:8] = struct.pack("Q", self._taken)
        return data

    def expect_beats(self) -> None:
        """From now on silence means something."""
        self._shared[8] = 1

    def silent(self) -> Callable[[], bool]:
        """A function that tells whether nothing came since it was called last, though beats are expected."""
        last: tuple[bytes, bytes] = b"", b""

        def look() -> bool:
            nonlocal last
            before, last = last, (self._shared[:8], fcntl.ioctl(0, termios.FIONREAD, bytes(4)))
            return bool(self._shared[8]) and last == before

        return look


class Served:
    """The commands, and the model that they are about."""

    def __init__(self) -> None:
        self.text: tuple[str, bytearray] = "", bytearray()
        self.backend: Any = None
        self.model: Any = None
        self.before = 0
        self.commands: dict[str, Callable[..., Any]] = {
            "hello": self.hello, "version": self.version, "load": self.load, "run": self.run, "time": self.time,
            "receipt": self.receipt, "memory": self.memory,
        }  # fmt: skip

    def hello(self, blobs: Sequence[bytearray], names: Sequence[str]) -> dict[str, Any]:
        """Take in the other files and, the last, the backend, which ``version`` imports; tells what this place is."""
        *files, self.text = zip(names, blobs)
        for name, text in files:
            self.commands.update(_module(name, text).COMMANDS)
        told: dict[str, Any] = self.commands["place"]()
        return told

    def version(self, paths: Sequence[str]) -> dict[str, Any]:
        """Import the runtime, with more folders to look in; tells its version."""
        sys.path[:0] = [path for path in paths if path not in sys.path]
        try:
            self.backend = self.backend or _module(*self.text)
            return {"version": self.backend.version()}
        except ImportError as error:
            return {"version": None, "why": str(error)}

    def load(self, path: str, threads: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """Load a file in place of the one before; tells nanoseconds, tensors and receipt."""
        self.model = None
        self.before = self._resident("VmRSS")
        begin = time.perf_counter_ns()
        self.model = self.backend.load(path, threads, **options)
        taken = time.perf_counter_ns() - begin
        return {"ns": taken, "inputs": self.model.inputs, "outputs": self.model.outputs, **self.receipt()}

    def run(self, blobs: Sequence[bytearray], arrays: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Run once; tells nanoseconds."""
        feeds = unpack({"arrays": arrays}, blobs)
        begin = time.perf_counter_ns()
        outputs = self.model.run(feeds)
        taken = time.perf_counter_ns() - begin
        header, made = pack(outputs)
        return {"ns": taken, **header}, made

    def time(self, blobs: Sequence[bytearray], arrays: Any, repeats: int) -> dict[str, Any]:
        """Nanoseconds of each of ``repeats`` runs, by a clock that nobody sets."""
        feeds, run, clock = unpack({"arrays": arrays}, blobs), self.model.run, time.perf_counter_ns
        times = []
        for _ in range(repeats):
            begin = clock()
            run(feeds)
            times.append(clock() - begin)
        return {"ns": times}

    def receipt(self) -> dict[str, Any]:
        """Fields of ``artifact.Receipt``."""
        return {"receipt": self.model.receipt()}

    def memory(self) -> dict[str, Any]:
        """Bytes of the peak, and of what was resident before the model was loaded; None where that isn't known."""
        return {"peak": self._resident("VmHWM"), "before": self.before}

    def _resident(self, field: str) -> int:
        with contextlib.suppress(OSError), Path("/proc/self/status").open() as status:
            return next((int(line.split()[1]) * 1024 for line in status if line.startswith(f"{field}:")), 0)
        return 0


def _module(name: str, text: bytearray) -> Any:
    module = types.ModuleType(f"edgeworthy_{name}")
    exec(compile(bytes(text), f"{name}.py", "exec"), module.__dict__)
    return module


def serve(requests: Requests, replies: BinaryIO, log: PrintedLines) -> None:
    """Answer until the host is gone."""
    served = Served()
    while True:
        try:
            request, blobs = receive(requests)  # type: ignore[arg-type]
        except EOFError:
            return
        if not request:
            requests.expect_beats()
            continue
        given = {"blobs": blobs} if blobs or "arrays" in request else {}
        reply, made = {}, []
        try:
            answer = served.commands[request.pop("do")](**given, **request)
            reply, made = answer if isinstance(answer, tuple) else (answer, [])
        except Exception as error:  # noqa: BLE001 - whatever a runtime raises is the host's to judge
            reply = {"raised": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
            reply.update(errno=getattr(error, "errno", None), memory=isinstance(error, MemoryError))
        send(replies, {**reply, "log": log.take()}, made)


def watch(child: int, alive: int, requests: Requests, replies: BinaryIO, log: PrintedLines) -> None:
    """Wait for the end of the host or of the child, whichever is first, and see that the other hears of it."""
    poll = select.poll()
    poll.register(0, select.POLLRDHUP)
    poll.register(alive, 0)  # the end of a pipe is always told
    silent, looks = requests.silent(), 0
    while not (events := dict(poll.poll(_LOOK_S * 1000))) and looks < _LOOKS:
        looks = looks + 1 if silent() else 0  # looks, not seconds: the whole place may have stood still
    ended = alive in events
    if not ended:
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # whatever it started
    if ended and status:
        died = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit code {status >> 8}"
        with contextlib.suppress(OSError):
            send(replies, {"died": died, "peak": usage.ru_maxrss * 1024, "log": log.take()})


def main() -> None:
    """What ``BOOTSTRAP`` starts."""
    replies = os.fdopen(os.dup(1), "wb")
    log = PrintedLines()
    replies.write(MAGIC)
    replies.flush()
    watcher = os.getpid()
    alive, life = os.pipe()
    requests = Requests(sys.stdin.buffer)
    child = os.fork()
    if child:
        os.close(life)
        watch(child, alive, requests, replies, log)
    else:
        os.close(alive)
        os.setpgid(0, 0)
        faulthandler.enable(2)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == watcher:
            serve(requests, replies, log)
    os._exit(0)  # without the slow farewells of native packages


if __name__ == "edgeworthy_runner":
    main()
