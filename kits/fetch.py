"""Files of registries, by hash, each going on from where it stopped.

The registry's own client fetches where the host has it (apt's downloader, npm; pip always is there), because it knows
the user's mirrors, proxies and certificates. Elsewhere it is plain HTTP. What came is what the kit was locked with, or
it is thrown away.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import files
from ..errors import NotAvailable
from ..files import FULL, sha256
from .kit import File, Kit, Part
from .said import last_words

FileProgress = Callable[[str, int], None]
"""Is told the file that is being fetched, and how many bytes of it are there."""

APT = Path("/usr/lib/apt/apt-helper")
NPM = "npm"
_DEBIAN = "http://deb.debian.org/debian"
SNAPSHOT = "http://snapshot.debian.org/archive/debian"
_NPM = "https://registry.npmjs.org"
_TIMEOUT_S = 30
_CHUNK = 1 << 18
_TRIES = 4
"""Connections for one file, as long as each brings some of it."""


_PLAIN = {
    "LC_ALL": "C.UTF-8", "PIP_CONSTRAINT": os.devnull, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0",
    "PIP_TARGET": "", "PIP_PREFIX": "", "PIP_ROOT": "",
}  # fmt: skip
"""What of the user's settings is not for a kit: where pip installs to, and what else is."""


class Unreached(Exception):
    """One way to a file didn't lead there; ``remedy`` is what to do where that is told by how it failed."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.remedy = remedy


@dataclass(frozen=True)
class _Way:
    """A way to a file: what messages call it, and what writes it to a path."""

    name: str
    get: Callable[[Path, Callable[[], None]], None]


def fetch(kit: Kit, part: Part, file: File, cache: Path, *, offline: Path | None, tell: FileProgress) -> Path:
    """The file, in the folder ``cache``.

    Args:
        offline: A folder to take it from, instead of asking a registry.

    Raises:
        NotAvailable: no address gave it, or not as it was when the kit was locked; says each reason.
        OSError: it can't be written.
    """
    path = cache / file.filename
    if path.is_file() and _fault(path, file) is None:
        return path
    cache.mkdir(parents=True, exist_ok=True)
    partial = cache / f"{file.filename}.part"
    if left := next((found for found in _left(partial) if _fault(found, file) is None), None):
        left.replace(path)
        files.remove(_beside(partial))
        return path
    failures, remedy = [], ""
    for way in [_folder(offline, file)] if offline else _ways(kit, part, file):
        if _size(partial) > file.size:
            partial.unlink()
        for _ in range(1 + partial.exists()):  # what was left there may be of another file
            try:
                way.get(partial, lambda: tell(file.filename, _size(partial)))
                fault = _fault(partial, file)
            except Unreached as failed:
                failures.append(f"{way.name}: {failed}")
                remedy = failed.remedy
                break
            if fault is None:
                partial.replace(path)
                return path
            partial.unlink(missing_ok=True)
            failures.append(f"{way.name}: {fault}")
    raise NotAvailable(
        f"can't get {file.filename} for the kit {kit.name}",
        where=part.source,
        details=failures,
        remedy="nothing half-written is left; "
        + (
            remedy
            or "the same command goes on from here once the network is back, or takes the file from a folder "
            "with --offline DIR"
        ),
    )


def check_offline(kit: Kit, folder: Path, cache: Path) -> None:
    """Raise NotAvailable where neither folder has a file of the kit; names all such files, and where they are."""
    whole = [(part, file) for part in kit.parts for file in part.files]
    lacks = [(p, file) for p, file in whole if not any((f / file.filename).is_file() for f in (folder, cache))]
    if lacks:
        raise NotAvailable(
            f"{len(lacks)} of the {len(whole)} files of the kit {kit.name} are not there",
            where=str(folder),
            details=[f"{file.filename}: {_address(part, file)}" for part, file in lacks],
            remedy="fetch them where there is a network, and put them there under these names",
        )


def _address(part: Part, file: File) -> str:
    """Where a browser gets a file, or what PyPI calls it."""
    base = {"debian": _DEBIAN, "npm": _NPM}.get(part.source)
    return f"{base}/{urllib.parse.quote(file.path)}" if base else f"{file.name}=={file.version} of PyPI"


def client(command: Sequence[str | Path], watch: Callable[[], None] = lambda: None) -> str:
    """Run a registry's client; returns what it printed.

    Raises:
        Unreached: it ended badly; says its last words.
        OSError: the disk is full, as it says.
    """
    with tempfile.TemporaryFile() as log:
        environment = os.environ | _PLAIN
        # A lock that is held on an inherited file is held until the client has ended, whatever becomes of us.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, close_fds=False
        )
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
                watch()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        log.seek(0)
        said = log.read().decode(errors="replace")
    if process.returncode == 0:
        return said
    for number in FULL:
        if os.strerror(number) in said:
            raise OSError(number, os.strerror(number))
    words, remedy = last_words(said)
    raise Unreached("; ".join(words) or f"{Path(command[0]).name} ended with {process.returncode}", remedy)


def pip(*arguments: str | Path) -> list[str | Path]:
    """The command line of this Python's pip, which knows the user's index.

    Raises:
        NotAvailable: this Python has none.
    """
    import importlib.util

    if importlib.util.find_spec("pip") is None:
        raise NotAvailable("this Python has no pip", where=sys.executable, remedy=f"{sys.executable} -m ensurepip")
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]


def requirement(file: File) -> str:
    """A line of requirements that only this very file meets."""
    return f"{file.name}=={file.version} --hash=sha256:{file.sha256}"


def wheel_tags(part: Part, file: File) -> list[str]:
    """What makes pip take a wheel of another platform (PEP 425)."""
    python, abi, platforms = file.path.removesuffix(".whl").split("-")[-3:]
    tags = [f"linux_{part.architecture}"] if platforms == "any" else platforms.split(".")
    arguments = ["--no-deps", "--only-binary=:all:", *(f"--platform={tag}" for tag in tags)]
    if python.startswith("cp"):
        arguments += [f"--python-version={python[2:]}", "--implementation=cp", f"--abi={abi}"]
    return arguments


def _ways(kit: Kit, part: Part, file: File) -> Iterator[_Way]:
    if part.source == "debian":
        for base in (os.environ.get("EDGEWORTHY_DEBIAN") or _DEBIAN, f"{SNAPSHOT}/{kit.snapshot}"):
            url = f"{base.rstrip('/')}/{urllib.parse.quote(file.path)}"
            yield _apt(url) if APT.exists() else _http(url, file)
    elif part.source == "npm":
        base = _npm_registry()
        yield _npm(file) if shutil.which(NPM) else _http(f"{base.rstrip('/')}/{file.path}", file)
    else:
        yield _pip(part, file)


def _npm_registry() -> str:
    """npm's own variables, which it takes in any case; its files are read by npm alone."""
    variables = {name.lower(): value for name, value in os.environ.items()}
    return variables.get("npm_config_registry") or _NPM


def _folder(folder: Path | None, file: File) -> _Way:
    def get(partial: Path, watch: Callable[[], None]) -> None:
        found = Path(folder or "", file.filename)
        if not found.is_file():
            raise Unreached("it is not there")
        shutil.copyfile(found, partial)

    return _Way(str(folder), get)


def _apt(url: str) -> _Way:
    """apt's own downloader, which goes on with a file that is there in part."""

    def get(partial: Path, watch: Callable[[], None]) -> None:
        options = (f"Acquire::http::Timeout={_TIMEOUT_S}", "Acquire::Retries=2", "APT::Sandbox::User=root")
        flags = [word for option in options for word in ("-o", option)]
        client([APT, *flags, "download-file", url, partial.absolute()], watch)

    return _Way(url, get)


def _npm(file: File) -> _Way:
    def get(partial: Path, watch: Callable[[], None]) -> None:
        with _emptied(partial) as folder:
            client([NPM, "pack", "--ignore-scripts", "--pack-destination", folder, f"{file.name}@{file.version}"])
            _only(folder).replace(partial)

    return _Way(f"npm pack {file.name}@{file.version}", get)


def _pip(part: Part, file: File) -> _Way:
    def get(partial: Path, watch: Callable[[], None]) -> None:
        with _emptied(partial) as folder:
            wanted = folder / "requirements.txt"
            wanted.write_text(requirement(file), encoding="utf-8")
            client(
                pip("-vv", "download", "--require-hashes", *wheel_tags(part, file), "-d", folder / "got", "-r", wanted)
            )
            _only(folder / "got").replace(partial)

    return _Way(f"pip download {file.name}=={file.version}", get)


def _http(url: str, file: File) -> _Way:
    """Plain HTTP, with a range for what is missing; never more than the file is long."""

    def get(partial: Path, watch: Callable[[], None]) -> None:
        for _ in range(_TRIES):
            before = _size(partial)
            if before == file.size:
                return
            cut = _read(url, file.size, partial, watch)
            if _size(partial) <= before:
                raise Unreached(cut or "the connection ended")
        raise Unreached("the connection is cut again and again")

    return _Way(url, get)


def _read(url: str, size: int, partial: Path, watch: Callable[[], None]) -> str:
    """Go on with a file; says what cut it, if anything did."""
    begin = _size(partial)
    request = urllib.request.Request(url, headers={"Range": f"bytes={begin}-"} if begin else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT
            left = size - begin if goes_on else size
            with partial.open("ab" if goes_on else "wb") as file:
                while left > 0 and (piece := answer.read(min(left, _CHUNK))):
                    file.write(piece)
                    left -= len(piece)
                    watch()
    except urllib.error.HTTPError as error:
        raise Unreached(f"HTTP {error.code} {error.reason}") from error
    except (http.client.HTTPException, urllib.error.URLError, ConnectionError, TimeoutError) as error:
        return str(getattr(error, "reason", None) or error or type(error).__name__)
    return ""


def _fault(path: Path, file: File) -> str | None:
    """What is wrong with a file that came."""
    if _size(path) != file.size:
        return f"it has {_size(path)} bytes instead of {file.size}"
    found = sha256(path)
    return None if found == file.sha256 else f"its SHA-256 is {found} instead of {file.sha256}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _beside(partial: Path) -> Path:
    """Where a client writes that names files by itself; always the same, for it may outlive us and end well."""
    return partial.with_name(f".{partial.name}.client")


def _left(partial: Path) -> Iterator[Path]:
    """What clients left, whole or not: they have ended, as they held the lock as well."""
    return (path for path in (partial, *sorted(_beside(partial).rglob("*"))) if path.is_file())


@contextlib.contextmanager
def _emptied(partial: Path) -> Iterator[Path]:
    folder = _beside(partial)
    files.remove(folder)
    folder.mkdir()
    try:
        yield folder
    finally:
        files.remove(folder)


def _only(folder: Path) -> Path:
    return next(path for path in folder.iterdir() if path.is_file())
