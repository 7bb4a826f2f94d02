"""A headless Chromium of this machine, driven by Playwright (https://playwright.dev/python), with one page."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ... import kits
from ...errors import NotAvailable, RuntimeFailure
from ...workers.processes import memory
from .. import environments
from . import guard

KIT = "browser"
INSTALL = f"edgeworthy targets install {KIT}; it needs Chromium besides (Debian: apt-get install chromium)"

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_FLAGS = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # the page is ours, and has nobody else to talk to
)
_API = "playwright.sync_api"
_LONGEST_TMPDIR = 107 - len("/edgeworthy-browser-12345678/1234/org.chromium.Chromium.123456/SingletonSocket")
"""Bytes: ``sun_path`` of ``unix(7)`` holds 107."""

_START_MS = 60_000
_LINES = 1000
_TAIL = 20
_CHATTER = re.compile(r"INFO|I\d{4} |WARNING: \[npu_registry|No available adapters|Failed to create default WebGPU")
"""What LiteRT.js logs of every model."""
_PLAYWRIGHTS = re.compile(r" logs?:$|<(launch|gracefully|kill|will force)|exception while trying to kill|temporary dir")
"""What Playwright logs of itself, with the whole command line, when a browser doesn't start."""


class PageError(Exception):
    """A script of the page raised.

    Attributes:
        said: Its message.
        lines: What the page had logged, the last lines.
    """

    def __init__(self, said: str, lines: Sequence[str]) -> None:
        super().__init__(said)
        self.said = said
        self.lines = list(lines)


def program(named: str = "") -> str:
    """The Chromium to use: the one named, or the first on the path.

    Raises:
        NotAvailable: there is none.
    """
    for name in (named,) if named else _PROGRAMS:
        if found := shutil.which(name):
            return found
    raise NotAvailable(
        f"there is no Chromium {'here' if named else 'on the path'}",
        where=named or None,
        remedy="install it (Debian: apt-get install chromium), or name it with the option chromium=PATH",
    )


class Chromium:
    """A browser on a new, empty profile, with one page open. It ends when it is closed, and with this process.

    Args:
        path: The program.
        flags: Beside those that every one gets.
        address: What to open.

    Attributes:
        lines: What the page has logged since the last call began.

    Raises:
        NotAvailable: Playwright isn't installed, or the browser doesn't start.
        RuntimeFailure: it starts, and can't show the page.
    """

    def __init__(self, path: str, flags: Sequence[str], address: str) -> None:
        driver = _driver()
        self.lines: deque[str] = deque(maxlen=_LINES)
        self._crashed = False
        self._closed = False
        self._path = path
        self._folder = driver.folder / str(next(driver.numbers))
        self._folder.mkdir()
        try:
            self._page = self._open(driver.playwright, flags, address)
        except BaseException:
            self.close()
            raise

    def _open(self, playwright: Any, flags: Sequence[str], address: str) -> Any:
        own = {name: str(self._folder) for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR")}
        error_type = _errors()
        try:
            self._context = playwright.chromium.launch_persistent_context(
                str(self._folder / "profile"),
                executable_path=self._path,
                headless=True,
                chromium_sandbox=False,  # root has none, nor have most containers; the page and its code are ours
                args=[*_FLAGS, *flags],
                env=os.environ | own,
                timeout=_START_MS,
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
            )
        except error_type as error:
            raise NotAvailable(
                "Chromium doesn't start", where=self._path, details=_printed(error),
                remedy="start it by hand with --headless, or name another with the option chromium=PATH",
            ) from error  # fmt: skip
        self._context.on("close", self._ended)
        page = self._context.pages[0] if self._context.pages else self._context.new_page()
        page.set_default_timeout(_START_MS)
        page.on("crash", self._ended)
        page.on("console", lambda message: self.lines.append(message.text))
        page.on("pageerror", lambda error: self.lines.append(str(error)))
        try:
            page.goto(address)
            page.wait_for_function("window.edgeworthy")
        except error_type as error:
            raise RuntimeFailure(
                "Chromium can't show the page",
                where=self._path,
                details=[*_said(error)[:3], *self.lines],
                remedy="open any page in it by hand; or name another with the option chromium=PATH",
            ) from error
        return page

    @property
    def telling(self) -> list[str]:
        """The last of ``lines``, without what is logged of every model."""
        return [line for line in self.lines if not _CHATTER.match(line)][-_TAIL:]

    def resident(self, field: str) -> int:
        """Bytes of a field of ``/proc/PROCESS/status`` of the process that shows the page: of its largest renderer."""
        found = guard.processes(self._folder)
        renderers = [pid for pid, words in found.items() if "--type=renderer" in " ".join(words)]
        return max((memory(field, pid) for pid in renderers), default=0)

    def call(self, function: str, *arguments: object) -> Any:
        """What a function of the page gives, once its promise is kept.

        Raises:
            PageError: it raised.
            RuntimeFailure: the page crashed or the browser ended meanwhile.
        """
        stage = arguments[0] if function == "ask" else function
        self.lines.clear()
        try:
            return self._page.evaluate(f"a => edgeworthy.{function}(...a)", list(arguments))
        except _errors() as error:
            words = _said(error)
            if self._crashed or any(word in words[0] for word in ("crashed", "has been closed", "Connection closed")):
                self._crashed = True
                raise RuntimeFailure(
                    f"Chromium ended in {stage}: {words[0]}",
                    where=self._path,
                    details=list(self.lines)[-_TAIL:],
                    remedy="give it more memory or a smaller model; or another Chromium: chromium=PATH",
                ) from error
            raise PageError(words[0], self.telling) from error

    def close(self) -> None:
        """End the browser and remove what it wrote."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(AttributeError, _errors()):
            self._context.close()
        guard.tidy(self._folder)

    def _ended(self, *_: object) -> None:
        self._crashed = True


def _said(error: Exception) -> list[str]:
    """The lines of a Playwright error: in the first what was raised, without the name of its own call and the stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if lines[0].startswith(("Page.", "BrowserType.")):
        lines[0] = lines[0].split(": ", 1)[-1].removeprefix("Error: ")
    message = list(itertools.takewhile(lambda line: not line.startswith("at "), lines))
    return [" ".join(message), *lines[len(message) :]] if len(message) < len(lines) else lines


def _printed(error: Exception) -> list[str]:
    """What a program printed that Playwright started in vain, or else what Playwright says."""
    said = _said(error)
    printed = [line.partition("[err] ")[2] for line in said if line.startswith("[pid=") and "[err] " in line]
    return (printed or [line for line in said if not _PLAYWRIGHTS.search(line)])[:_TAIL]


@dataclass(frozen=True)
class _Driver:
    """Playwright's own process.

    Attributes:
        playwright: What it offers.
        folder: What it and its browsers write. A guard removes it at the end of this process, whatever that is.
        numbers: Of the browsers: their folders have short names.
    """

    playwright: Any
    folder: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)


@functools.cache
def _driver() -> _Driver:
    """The driver of this process: Playwright's loop stands in the way of a second."""
    start = _playwright()
    folder = Path(tempfile.mkdtemp(prefix="edgeworthy-browser-", dir=_short(Path(tempfile.gettempdir()).resolve())))
    watch = subprocess.Popen(
        [sys.executable, "-I", guard.__file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # it outlives a kill of our process group
    )
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)  # the driver leaves files there when it is killed
    try:
        playwright = start()
    except (_errors(), OSError) as error:
        watch.communicate()
        raise NotAvailable(
            "Playwright doesn't start",
            where=str(folder),
            details=_said(error),
            remedy=f"edgeworthy targets install {KIT}",
        ) from error
    finally:
        os.environ.pop("TMPDIR")
        if before is not None:
            os.environ["TMPDIR"] = before
    atexit.register(_end, playwright, watch)
    return _Driver(playwright, folder)


def _short(folder: Path) -> Path:
    """A folder for temporary files in which Chromium's socket has a name that is short enough for one."""
    return folder if len(str(folder)) <= _LONGEST_TMPDIR else Path("/tmp")


def scratch() -> Path:
    """An empty folder that goes with this process."""
    return Path(tempfile.mkdtemp(dir=_driver().folder))


def _end(playwright: Any, watch: subprocess.Popen[bytes]) -> None:
    playwright.stop()
    watch.communicate()


def _playwright() -> Callable[[], Any]:
    """What starts the driver; NotAvailable where the kit is missing or damaged."""
    folder = kits.launch(kits.KITS[KIT]).folder
    environments.borrow(KIT)
    try:
        start: Callable[[], Any] = importlib.import_module(_API).sync_playwright().start
    except ImportError as error:
        raise NotAvailable(
            f"Playwright can't be imported: {error}", where=str(folder), remedy=f"edgeworthy targets install {KIT}"
        ) from error
    return start


def _errors() -> type[Exception]:
    """What Playwright raises."""
    found: type[Exception] = importlib.import_module(_API).Error
    return found
