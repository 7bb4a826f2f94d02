"""A crash's stack and a process's log, down to the lines that say something to the user."""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[1]
_USERS = ("samples", "tests")
"""Folders beside ours whose code is as a user's."""

_INSTALLED = (
    *(str(package.parent) for package in ROOT.glob("*/__init__.py") if package.parent.name not in _USERS),
    *(str(file) for file in ROOT.glob("*.py")),
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
)

_FRAME = re.compile(r'  File "(?P<file>.+)", line (?P<line>\d+) in (?P<function>.+)')
"""A line of a crash's stack, as faulthandler writes it."""

_NOISE = ("Extension modules:", "Fatal Python error:", "Current thread", "Thread 0x")
"""Lines of a crash's stack that say nothing of the crash."""


def user_frames(trace: TracebackType | None) -> list[str]:
    """``file:line in function`` of the user's code in a traceback, the outermost first."""
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        if _is_users(code.co_filename):
            frames.append(f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return frames


def read_log(text: str) -> tuple[list[str], list[str]]:
    """What a process printed, and the frames of the user's code in the stack that it left, if it crashed."""
    said, frames = [], []
    for line in text.splitlines():
        if frame := _FRAME.fullmatch(line):
            if _is_users(frame["file"]):
                frames.append(f"{frame['file']}:{frame['line']} in {frame['function']}")
        elif line.strip() and not line.startswith(_NOISE):
            said.append(line.strip()[:300])
    return said, frames


def _is_users(file: str) -> bool:
    """Whether code is the model's own: not of edgeworthy, Python or a package."""
    return not file.startswith(("<", *_INSTALLED))
