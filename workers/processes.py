"""What every process that runs native code on a user's model owes to the one that started it, and its memory."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import NotAvailable, OutOfMemory

_PR_SET_PDEATHSIG = 1
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of a unit of ``ru_maxrss``."""

_NO_MEMORY = (
    "std::bad_alloc", "DefaultCPUAllocator: ", "CUDA out of memory", "array is too big", os.strerror(errno.ENOMEM),
)  # fmt: skip
"""How native code, and numpy of what no address could hold, say that memory ran out without a MemoryError."""


def die_with(parent: int) -> None:
    """Have the kernel end this process with its parent, even in the middle of native code; leave no core file."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before we asked
        os._exit(0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def kill_group(leader: int) -> None:
    """Kill a process that leads a group, and the group; whether or not it is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def memory(field: str, process: int | str = "self") -> int:
    """Bytes of a field of ``/proc/PROCESS/status``: ``VmRSS``, or ``VmHWM`` for the peak; 0 once it has ended.

    Without ``/proc``: this process's peak. ``ru_maxrss`` won't do in general: after an exec it starts at the
    parent's peak.
    """
    status = Path(f"/proc/{process}/status")
    if not status.parent.parent.exists():
        return max_rss(resource.getrusage(resource.RUSAGE_SELF)) if process == "self" else 0
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)


def available() -> int:
    """Bytes of memory that a process can still take; 0 where ``/proc`` doesn't tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)


def max_rss(usage: resource.struct_rusage) -> int:
    """Peak resident memory in bytes."""
    return usage.ru_maxrss * _MAXRSS_UNIT


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an exception, or what it was raised from, says that memory ran out."""
    if error is None:
        return False
    said = isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)
    return said or is_out_of_memory(error.__cause__)


def out_of_memory(what: str, peak: int, *, where: str | None = None, details: Sequence[str] = ()) -> OutOfMemory:
    """The error of a process that memory ran out in; ``peak`` in bytes, 0 where it isn't known."""
    known = f"; it had taken {peak / 1e9:.2f} GB" if peak >= 1e9 else f"; it had taken {peak / 1e6:.0f} MB"
    return OutOfMemory(
        what + (known if peak else ""),
        where=where,
        details=details,
        remedy="give it more memory, or less to do: a smaller batch, fewer threads, nothing else beside it",
    )


def not_started(name: str, program: str, error: OSError) -> NotAvailable:
    """The error of a process whose program the system doesn't start, such as a kit's Python that is gone."""
    remedy = (
        "its folder must allow programs (no noexec); of a kit, EDGEWORTHY_HOME names another place"
        if error.errno == errno.EACCES
        else "see that it is there and whole; of a kit, `edgeworthy targets install KIT` mends it"
    )
    return NotAvailable(f"{name} can't be started: {error.strerror}", where=program, remedy=remedy)
