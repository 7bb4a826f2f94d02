"""A registry on this machine: an HTTP server with Debian's pool, npm's and PyPI's pages, and faults on demand."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import re
import tarfile
import threading
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from edgeworthy import kits
from edgeworthy.kits import fetch, kit, lock
from edgeworthy.kits.kit import File, Kit, Part

NOISE = os.urandom(300_000)
"""Does not compress: a package that holds it is of this size."""


def tar(members: dict[str, bytes | tarfile.TarInfo], mode: str = "w:xz") -> bytes:
    """A tar archive; a ``TarInfo`` is a member without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            if isinstance(content, bytes):
                info.size, info.mode = len(content), 0o755 if "/bin/" in name else 0o644
                archive.addfile(info, io.BytesIO(content))
            else:
                archive.addfile(info)
    return buffer.getvalue()


def deb(members: dict[str, Any], name: str = "tool", version: str = "1.0") -> bytes:
    """A Debian package (deb(5)), which dpkg reads too."""
    control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: t <t@t>\nDescription: t\n"
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": tar({"./control": control.encode()}),
        "data.tar.xz": tar(members),
    }
    text = b"!<arch>\n"
    for part, content in parts.items():
        text += f"{part:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        text += content + b"\n" * (len(content) % 2)
    return text


def wheel(name: str, version: str, members: dict[str, bytes]) -> bytes:
    """A wheel that pip installs."""
    info = f"{name}-{version}.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n".encode(),
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return buffer.getvalue()


@dataclass
class Registry:
    """What the server has, what is asked of it, and what it does wrong.

    Attributes:
        files: Path → content.
        faults: Path → what the next requests get: an HTTP status, ``cut`` after half of what is left, or ``hang``.
        asked: (path, value of Range) of every request.
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[int | str]] = field(default_factory=lambda: defaultdict(list))
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    hanging: threading.Event = field(default_factory=threading.Event)

    def count(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.asked)

    def debian(self, name: str, content: bytes, *, base: str = "debian") -> File:
        path = f"pool/main/t/{name}/{name}_1.0_all.deb"
        self.files[f"/{base}/{path}"] = content
        return locked(File(name, "1.0", path), content)

    def npm(self, name: str, content: bytes) -> File:
        path = f"{name}/-/{name.rpartition('/')[2]}-1.0.tgz"
        self.files[f"/npm/{path}"] = content
        return locked(File(name, "1.0", path), content)

    def pypi(self, name: str, content: bytes, tags: str = "py3-none-any") -> File:
        file = f"{name}-1.0-{tags}.whl"
        self.files[f"/files/{file}"] = content
        self.files[f"/simple/{name.replace('.', '-')}/"] = f'<a href="/files/{file}">{file}</a>'.encode()
        return locked(File(name, "1.0", file), content)


def part(*files: Any, into: str = "root", source: Any = "debian", **more: Any) -> Part:
    return Part(source, into, files, **more)


def locked(file: File, content: bytes) -> File:
    return replace(file, size=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.fixture
def registry() -> Iterator[Registry]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, span = self.path, self.headers.get("Range")
            known.asked.append((path, span))
            fault = known.faults[path].pop(0) if known.faults[path] else None
            content = known.files.get(path)
            if isinstance(fault, int) or content is None:
                self.send_error(fault if isinstance(fault, int) else 404)
                return
            begin = int(re.findall(r"\d+", span)[0]) if span else 0
            if begin >= len(content) > 0:
                self.send_error(416)
                return
            self.send_response(206 if begin else 200)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - begin))
            kind = "application/vnd.pypi.simple.v1+json" if content.startswith(b"{") else "text/html"
            self.send_header("Content-Type", kind if path.endswith("/") else "application/octet-stream")
            self.send_header("Last-Modified", "Thu, 26 Nov 2026 00:00:00 GMT")
            if path.startswith("/files/"):  # as PyPI's own
                self.send_header("Cache-Control", "max-age=365000000, immutable, public")
            self.end_headers()
            end = (begin + len(content)) // 2 if fault else len(content)
            self.wfile.write(content[begin:end])
            self.wfile.flush()
            if fault == "hang":
                known.hanging.set()
                ended.wait(60)
            if fault:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    ended = threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known = Registry(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield known
    ended.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def home(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where kits go; every registry is the local one, whatever this machine is set up with."""
    for name, value in {
        "EDGEWORTHY_HOME": str(tmp_path / "home"),
        "EDGEWORTHY_DEBIAN": f"{registry.url}/debian",
        "npm_config_registry": f"{registry.url}/npm",
        "PIP_INDEX_URL": f"{registry.url}/simple",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fetch, "SNAPSHOT", f"{registry.url}/snapshot")
    return tmp_path / "home"


@pytest.fixture(params=["http", "apt"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How Debian's files are fetched: hosts without apt do without, and without npm."""
    if request.param == "http":
        plain_http(monkeypatch)
    elif not fetch.APT.exists():
        pytest.skip("apt is on Debian's kin only")
    return str(request.param)


def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "APT", Path("/nowhere"))
    monkeypatch.setattr(fetch, "NPM", "no-such-npm")


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lock a kit in a folder of its own, as the maintainers' command writes it; gives it as read."""
    folder = tmp_path / "locks"
    folder.mkdir()
    monkeypatch.setattr(kits.KITS, "_read", {})  # first: it reads what it will put back
    monkeypatch.setattr(kit, "FOLDER", folder)

    def make(*parts: Part, name: str = "toy", requirements: str = "", **more: Any) -> Kit:
        wanted = tuple(re.findall(r"^\S+==\S+", requirements, re.M))
        names = [*(file.name for part in parts for file in part.files), *(line.split("==")[0] for line in wanted)]
        made = Kit(
            name,
            "a toy",
            names[0],
            ("toy-target",),
            snapshot="20260101T000000Z",
            parts=parts,
            requirements=wanted,
            **more,
        )
        (folder / f"{name}.toml").write_text(lock.to_toml(made))
        if requirements:
            (folder / f"{name}.txt").write_text(requirements)
        read = kit.read(name)
        assert read == made
        kits.KITS._read[name] = read
        return read

    return make


@pytest.fixture
def toy(registry: Registry, home: Path, make: Any) -> Any:
    """Two Debian packages."""
    first = registry.debian("first", deb({"./usr/bin/first": b"1", "./usr/lib/noise": NOISE}))
    second = registry.debian("second", deb({"./usr/lib/second": b"2"}))
    return make(part(first, second), environment={"WHERE": "{kit}/root"}, write={"where.txt": "{kit}"})


def path_of(name: str) -> str:
    return f"/debian/pool/main/t/{name}/{name}_1.0_all.deb"


def leftovers(home: Path) -> list[str]:
    """What there is besides whole kits and locks, relative to home."""
    kept = ("kits", "downloads", "kits/.toy.lock", "kits/.toy.used")
    found = (p.relative_to(home).as_posix() for p in home.rglob("*"))
    return [name for name in found if name not in kept and not name.startswith("kits/toy")]
