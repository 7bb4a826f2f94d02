"""Packages unpacked: what dpkg, tar and pip would make of them, and nothing outside of the folder."""

from __future__ import annotations

import shutil
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edgeworthy.errors import NotAvailable
from edgeworthy.kits.kit import Part
from edgeworthy.kits.unpack import unpack

from .conftest import deb, tar, wheel


def member(kind: bytes, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def debian(tmp_path: Path, members: dict[str, Any], **part: Any) -> Path:
    package, folder = tmp_path / "tool_1.0_all.deb", tmp_path / "kit" / "root"
    package.write_bytes(deb(members))
    unpack(package, Part("debian", "root", (), **part), folder)
    return folder


def test_a_package_of_debian_gives_what_dpkg_gives(tmp_path: Path) -> None:
    members = {
        "./usr/bin/tool": b"#!/bin/sh\n",
        "./usr/lib/libtool.so.1.2": b"\x7fELF",
        "./usr/lib/libtool.so.1": member(tarfile.SYMTYPE, "libtool.so.1.2"),
        "./usr/lib/twin": member(tarfile.LNKTYPE, "./usr/lib/libtool.so.1.2"),
        "./empty": b"",
    }
    folder = debian(tmp_path, members)
    if shutil.which("dpkg-deb"):
        theirs = tmp_path / "theirs"
        subprocess.run(["dpkg-deb", "-x", tmp_path / "tool_1.0_all.deb", theirs], check=True)
        assert listing(folder) == listing(theirs)
    assert (folder / "usr/lib/libtool.so.1").readlink() == Path("libtool.so.1.2")
    assert (folder / "usr/lib/twin").read_bytes() == b"\x7fELF"
    assert (folder / "usr/bin/tool").stat().st_mode & stat.S_IXUSR


def listing(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        p.relative_to(folder).as_posix(): (p.read_bytes(), p.stat().st_mode & 0o700)
        for p in folder.rglob("*")
        if p.is_file()
    }


def test_only_what_is_taken_is_written(tmp_path: Path) -> None:
    members = {"./usr/lib/a.so": b"a", "./usr/lib/a.h": b"h", "./usr/share/doc/a/copyright": b"c"}
    folder = debian(tmp_path, members, take=("usr/*",), leave=("usr/share/*", "*.h"))
    assert list(listing(folder)) == ["usr/lib/a.so"]


def test_an_archive_is_read_no_further_than_the_files_that_are_named(tmp_path: Path) -> None:
    """Of 370 MB of emulators, one is wanted; a pattern may fit the last member."""
    members = {"./a": b"a", "./b": b"b", "./evil": member(tarfile.CHRTYPE), "./c": b"c"}
    assert set(listing(debian(tmp_path, members, take=("b", "a")))) == {"a", "b"}
    shutil.rmtree(tmp_path / "kit")
    assert set(listing(debian(tmp_path, members, take=("a", "[bc]")))) == {"a", "b", "c"}


def test_a_setuid_program_is_an_ordinary_one(tmp_path: Path) -> None:
    info = member(tarfile.REGTYPE, mode=0o6755)
    folder = debian(tmp_path, {"./usr/bin/su": info})
    assert (folder / "usr/bin/su").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    "members",
    [
        {"../evil": b"x"},
        {"./usr/../../evil": b"x"},
        {"./evil": member(tarfile.SYMTYPE, "/etc/passwd")},
        {"./evil": member(tarfile.SYMTYPE, "../../evil")},
        {"./a": b"x", "./evil": member(tarfile.LNKTYPE, "../../../etc/passwd")},
        {"./evil": member(tarfile.CHRTYPE)},
        {"./evil": member(tarfile.FIFOTYPE)},
        {"./d": member(tarfile.SYMTYPE, ".."), "./d/d": member(tarfile.SYMTYPE, ".."), "./d/d/evil": b"x"},
    ],
    ids=("dots", "inner dots", "absolute link", "link out", "hard link out", "device", "pipe", "through links"),
)
def test_a_package_that_would_write_elsewhere_is_refused(tmp_path: Path, members: dict[str, Any]) -> None:
    with pytest.raises(NotAvailable, match=r"can't unpack tool_1\.0_all\.deb") as caught:
        debian(tmp_path, members)
    assert caught.value.exit_code == 3
    assert not list(tmp_path.rglob("evil"))
    assert not list(tmp_path.parent.glob("evil"))


def test_an_absolute_member_lands_inside(tmp_path: Path) -> None:
    folder = debian(tmp_path, {"/usr/bin/tool": b"x"})
    assert (folder / "usr/bin/tool").is_file()


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", deb({"./a": b"a"})[:-60], deb({"./a": b"a"})[:8], b"!<arch>\n" + b"x" * 200],
    ids=("empty", "text", "cut", "magic only", "rubbish"),
)
def test_what_is_no_package_is_refused(tmp_path: Path, content: bytes) -> None:
    package = tmp_path / "tool_1.0_all.deb"
    package.write_bytes(content)
    with pytest.raises(NotAvailable, match="can't unpack"):
        unpack(package, Part("debian", "root", ()), tmp_path / "kit")


def test_nothing_of_what_is_taken(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="holds nothing of usr/bin/gone"):
        debian(tmp_path, {"./usr/bin/tool": b"x"}, take=("usr/bin/gone",))


def test_a_tarball_of_npm_loses_its_top_folder(tmp_path: Path) -> None:
    package = tmp_path / "tool-1.0.tgz"
    package.write_bytes(tar({"package/dist/index.js": b"js", "package/package.json": b"{}"}, "w:gz"))
    unpack(package, Part("npm", "npm", (), leave=("*.json",)), tmp_path / "kit")
    assert list(listing(tmp_path / "kit")) == ["dist/index.js"]
    package.write_bytes(tar({"package/../../evil": b"x"}, "w:gz"))
    with pytest.raises(NotAvailable, match="can't unpack"):
        unpack(package, Part("npm", "npm", ()), tmp_path / "other")
    assert not list(tmp_path.rglob("evil"))


def test_a_wheel_is_what_pip_would_put_there(tmp_path: Path) -> None:
    package = tmp_path / "tool-1.0-py3-none-any.whl"
    package.write_bytes(wheel("tool", "1.0", {"tool/__init__.py": b"x = 1\n", "tool/tests/t.py": b""}))
    unpack(package, Part("pypi", "site", (), leave=("*/tests/*", "*.dist-info/*")), tmp_path / "kit")
    assert list(listing(tmp_path / "kit")) == ["tool/__init__.py"]


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_a_wheel_that_would_write_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    package = tmp_path / "tool-1.0-py3-none-any.whl"
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("tool.py", b"")
        archive.writestr(name, b"x")
    with pytest.raises(NotAvailable, match="can't unpack"):
        unpack(package, Part("pypi", "site", ()), tmp_path / "kit" / "site")
    assert not list(tmp_path.rglob("evil"))
    assert not Path("/evil").exists()
