"""Lock a kit anew: ``python -m edgeworthy.kits.lock NAME… [--newest]``, for maintainers.

Names and versions stand in ``kits/NAME.toml``; everything else there of a file (where it is, size, SHA-256) is what the
registries answer, and requirements become ``kits/NAME.txt`` with a hash for every wheel. So no hash is typed by hand.

It asks through the registries' own clients: apt (which checks Debian's signatures), npm, pip, and uv, which it fetches.
A file without a version, or every Debian package with ``--newest``, is locked at the newest of its suite.
"""

from __future__ import annotations

import re
import sys
import tempfile
import urllib.parse
import venv
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ..errors import EdgeworthyError, NotAvailable
from ..files import sha256, write_text
from .fetch import Unreached, client, pip, wheel_tags
from .kit import FOLDER, File, Kit, Part, read

_ARCHIVE = "http://deb.debian.org/debian"
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_URI = re.compile(r"^'(?P<url>[^']+)' (?P<name>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})$", re.M)
_LISTED = (
    "summary", "targets", "routes", "package", "machines", "python", "check", "requirements", "borrows", "claims",
    "before", "snapshot",
)  # fmt: skip
_NOWHERE = "sys_platform == 'nowhere'"
"""The marker of what a kit borrows, and so of what that alone would bring."""

_PYTHON = "3.11"
"""The oldest that edgeworthy runs on; newer ones have their own lines and wheels in the same file."""


def lock(kit: Kit, *, newest: bool = False) -> tuple[str, str]:
    """The text of the kit's TOML, and that of its locked requirements, or an empty string.

    Raises:
        NotAvailable: a registry doesn't know a package in this version, or its client is missing.
    """
    parts = []
    try:
        with tempfile.TemporaryDirectory(prefix="edgeworthy-lock-") as folder:
            for number, part in enumerate(kit.parts):
                place = Path(folder, str(number))
                place.mkdir()
                ask = {"debian": _debian, "npm": _npm, "pypi": _pypi}[part.source]
                if newest and part.source == "debian":
                    part = replace(part, files=tuple(replace(file, version="") for file in part.files))
                parts.append(replace(part, files=tuple(ask(part, place))))
            requirements = _requirements(kit, Path(folder)) if kit.requirements else ""
    except (Unreached, FileNotFoundError) as error:
        raise NotAvailable(f"kit {kit.name} can't be locked: {error}", remedy="it takes apt-get, npm, pip") from error
    snapshot = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}" if any(part.source == "debian" for part in parts) else ""
    return to_toml(replace(kit, parts=tuple(parts), snapshot=snapshot)), requirements


def to_toml(kit: Kit) -> str:
    """A kit as its TOML file."""
    lines = [f"# Locked by `python -m edgeworthy.kits.lock {kit.name}`, which keeps all but sizes, paths and hashes."]
    for key in _LISTED:
        if value := getattr(kit, key):
            lines.append(f"{key} = {_value(value)}")
    for key in ("environment", "write"):
        if table := getattr(kit, key):
            lines += ["", f"[{key}]", *(f"{_key(name)} = {_value(text)}" for name, text in table.items())]
    for part in kit.parts:
        lines += ["", "[[parts]]"]
        for key in ("source", "suite", "architecture", "into"):
            if value := getattr(part, key):
                lines.append(f"{key} = {_value(value)}")
        lines += [f"take = {_value(part.take)}"] if part.take != Part.take else []
        lines += [f"leave = {_value(part.leave)}"] if part.leave else []
        files = (", ".join(f"{key} = {_value(value)}" for key, value in vars(file).items()) for file in part.files)
        lines += ["files = [", *(f"    {{ {file} }}," for file in files), "]"]
    return "\n".join(lines) + "\n"


def _value(value: str | int | Sequence[str]) -> str:
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        return f"[{', '.join(map(_value, value))}]"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name) else _value(name)


def _debian(part: Part, folder: Path) -> list[File]:
    """What apt, with lists of its own, says of packages of a suite."""
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "status").touch()
    source = f"deb [arch={part.architecture} signed-by={_KEYS}] {_ARCHIVE} {part.suite} main\n"
    (folder / "sources.list").write_text(source, encoding="utf-8")
    settings = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "APT::Architecture": part.architecture,
        "APT::Architectures": part.architecture,
        "APT::Sandbox::User": "root",
    }
    flags = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    client(["apt-get", *flags, "update"])
    wanted = [f"{file.name}={file.version}" if file.version else file.name for file in part.files]
    said = client(["apt-get", *flags, "download", "--print-uris", *wanted])
    found = {}
    for line in _URI.finditer(said):
        path = urllib.parse.unquote(line["url"].removeprefix(f"{_ARCHIVE}/"))
        name, version, _ = urllib.parse.unquote(line["name"]).split("_")
        found[name] = File(name, version, path, int(line["size"]), line["sha256"])
    return [found[file.name] for file in part.files]


def _npm(part: Part, folder: Path) -> list[File]:
    for file in part.files:
        client(["npm", "pack", "--ignore-scripts", "--pack-destination", folder, f"{file.name}@{file.version}"])
    return [_downloaded(file, folder / _tarball(file).filename, _tarball(file).path) for file in part.files]


def _tarball(file: File) -> File:
    return replace(file, path=f"{file.name}/-/{file.name.rpartition('/')[2]}-{file.version}.tgz")


def _pypi(part: Part, folder: Path) -> list[File]:
    found = []
    for file in part.files:
        known = file.path or f"x-x-cp{_PYTHON.replace('.', '')}-cp{_PYTHON.replace('.', '')}-{_manylinux(part)}.whl"
        place = folder / file.name
        tags = wheel_tags(part, replace(file, path=known))
        client(pip("download", *tags, "-d", place, f"{file.name}=={file.version}"))
        wheel = next(place.iterdir())
        found.append(_downloaded(file, wheel, wheel.name))
    return found


def _manylinux(part: Part) -> str:
    return ".".join(f"manylinux_2_{minor}_{part.architecture}" for minor in range(17, 37))


def _downloaded(file: File, path: Path, name: str) -> File:
    return replace(file, path=name, size=path.stat().st_size, sha256=sha256(path))


def _requirements(kit: Kit, folder: Path) -> str:
    """All that a kit's Python packages need, for every Python and machine with wheels of them, less what it borrows."""
    wanted, lent = folder / "pyproject.toml", folder / "lent.txt"
    wanted.write_text(_project(kit), encoding="utf-8")
    lent.write_text("\n".join(f"{package} ; {_NOWHERE}" for package in kit.borrows), encoding="utf-8")
    venv.create(folder / "uv", symlinks=True, with_pip=False)
    client(pip("--python", folder / "uv/bin/python", "install", "uv"))
    command = f"python -m edgeworthy.kits.lock {kit.name}"
    oldest = kit.claims or _PYTHON
    flags = ["--universal", "--generate-hashes", f"--python-version={oldest}", "--only-binary=:all:", "--no-annotate"]
    flags += ["--overrides", str(lent)] if kit.borrows else []
    flags += [
        "--custom-compile-command",
        command,
        "--directory",
        str(folder),
        "--quiet",
        "-o",
        str(folder / "locked.txt"),
    ]
    client([folder / "uv/bin/uv", "pip", "compile", *flags, wanted])
    return without_borrowed((folder / "locked.txt").read_text(encoding="utf-8"))


def _project(kit: Kit) -> str:
    """A project that wants what a kit does: uv resolves for the Pythons of one alone."""
    lines = ["[project]", 'name = "kit"', 'version = "0"', f"dependencies = {_value(kit.requirements)}"]
    lines += [f'requires-python = ">={kit.claims or _PYTHON}"', "[tool.uv]"]
    until = f"python_full_version < '{kit.before}' and " if kit.before else ""
    hosts = [f"{until}sys_platform == 'linux' and platform_machine == '{machine}'" for machine in kit.machines]
    hosts = hosts or ([until.removesuffix(" and ")] if until else [])
    lines += [f"environments = {_value(hosts)}"] if hosts else []
    return "\n".join(lines)


def without_borrowed(text: str) -> str:
    """Locked requirements less those that are needed nowhere."""
    blocks = re.split(r"^(?=\S)", text, flags=re.M)
    return "".join(block for block in blocks if _NOWHERE not in block.partition("\n")[0])


def main(arguments: Sequence[str]) -> int:
    """Lock the kits of these names."""
    newest, names = "--newest" in arguments, [name for name in arguments if name != "--newest"]
    for name in names:
        try:
            kit = read(name)
            text, requirements = lock(kit, newest=newest)
        except EdgeworthyError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        write_text(FOLDER / f"{name}.toml", text)
        if requirements:
            write_text(kit.locked_requirements, requirements)
        print(f"{name}: {sum(len(part.files) for part in kit.parts)} files")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
