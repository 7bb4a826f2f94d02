"""A command runs in a child process, and the first process waits for it.

Native code that crashes takes its process along: a converter that aborts, a model's own extension that writes where
it may not, the kernel when memory runs out. Whoever is left has to say so, with one of our exit codes.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

from ..workers.processes import die_with, max_rss

SUPERVISED = sys.platform == "linux"
"""Elsewhere a command runs in the process that it was started in."""

_PATIENCE_S = 2.0
"""After an interrupt, the child has so long to clean up before another one kills it."""


def supervise(crashed: Callable[[signal.Signals, int], None]) -> None:
    """Return in a child process. This one waits, and leaves with the child's exit code.

    Args:
        crashed: Called here, not in the child, with the signal that ended it and the peak memory in bytes, its own
            or that of what it started; has to leave the process.
    """
    if not SUPERVISED:
        return
    watched = {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        die_with(parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return
    code, interrupt, peak = _wait(child, watched)
    if code < 0 and (interrupt or -code == signal.SIGPIPE):
        code = 128 + (interrupt or signal.SIGPIPE)
    if code < 0:
        crashed(signal.Signals(-code), peak)
    os._exit(code)


def _wait(child: int, watched: set[signal.Signals]) -> tuple[int, int, int]:
    """The child's exit code (or minus a signal), the interrupt that it got, or 0, and its peak memory in bytes.

    Meanwhile it gets the signals that this process gets.
    """
    interrupt, since = 0, 0.0
    while True:
        got = signal.sigwaitinfo(watched)
        if got.si_signo == signal.SIGCHLD:
            done, status, usage = os.wait4(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status), interrupt, max_rss(usage)
        elif interrupt and time.monotonic() - since > _PATIENCE_S:
            os.kill(child, signal.SIGKILL)
        else:
            interrupt, since = interrupt or got.si_signo, since or time.monotonic()
            if got.si_code <= 0:  # from `kill`; what comes from the terminal has reached the child as well
                os.kill(child, got.si_signo)
