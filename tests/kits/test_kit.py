"""The lock files that are shipped: as the maintainers' command writes them, and whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeworthy import kits
from edgeworthy.benchmarks import kits as benchmark
from edgeworthy.convert.routes import CONVERTERS
from edgeworthy.display import size
from edgeworthy.kits import kit, lock
from edgeworthy.targets import TARGETS

ROOT = Path(__file__).parents[2]
NAMES = ("adb", "arm64", "browser", "ethos-u", "executorch", "gpu", "kotlin", "openvino", "tflite-micro")
FOR_TESTS = {"kotlin"}
"""Kits that no target needs."""


def page() -> dict[str, list[str]]:
    """Kit → its row of docs/targets.md."""
    text = (ROOT / "docs/targets.md").read_text(encoding="utf-8")
    table = text.partition(f"<!-- {benchmark.MARK} -->")[2].partition(f"<!-- end of {benchmark.MARK} -->")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row for row in rows}


def megabytes(text: str) -> float:
    """Of what ``display.size`` wrote."""
    number, unit = text.split()
    return float(number) * {"kB": 1e-3, "MB": 1, "GB": 1e3}[unit]


def test_there_are_these() -> None:
    assert set(NAMES) <= set(kits.KITS)
    assert {path.stem for path in kit.FOLDER.glob("*.txt")} == {k.name for k in kits.KITS.values() if k.requirements}


@pytest.mark.parametrize("name", kits.KITS)
def test_a_lock_file_is_as_the_command_writes_it(name: str) -> None:
    """A hash or a size typed by hand would mostly stand in another form."""
    found = kits.KITS[name]
    assert found.lock.read_text(encoding="utf-8") == lock.to_toml(found)


@pytest.mark.parametrize("name", kits.KITS)
def test_every_file_is_locked(name: str) -> None:
    for part in kits.KITS[name].parts:
        assert part.source in ("debian", "npm", "pypi")
        assert not part.into.startswith("/")
        assert (part.suite and part.architecture) if part.source == "debian" else not part.suite
        for file in part.files:
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
            assert file.size > 0
            assert file.version
            assert file.path.endswith({"debian": ".deb", "npm": ".tgz", "pypi": ".whl"}[part.source])
    if any(part.source == "debian" for part in kits.KITS[name].parts):
        assert re.fullmatch(r"\d{8}T\d{6}Z", kits.KITS[name].snapshot)


@pytest.mark.parametrize("name", [k.name for k in kits.KITS.values() if k.requirements])
def test_every_requirement_is_locked(name: str) -> None:
    """Each package once for a Python, at one version, with hashes; among them what is asked for."""
    text = kits.KITS[name].locked_requirements.read_text(encoding="utf-8")
    entries = re.findall(
        r"^([\w.-]+)==(\S+)(?: ; [^\\]+)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.M
    )
    assert len(entries) == len(re.findall(r"^[^#\s]", text, re.M))
    assert set(kits.KITS[name].requirements) <= {f"{package}=={version}" for package, version, _ in entries}


@pytest.mark.parametrize("name", kits.KITS)
def test_a_kit_is_of_a_target_or_a_route_that_there_is(name: str) -> None:
    kit = kits.KITS[name]
    assert bool(kit.targets) + bool(kit.routes) == (name not in FOR_TESTS)
    assert set(kit.targets) <= set(TARGETS.names)
    assert all(CONVERTERS[route].kit == name for route in kit.routes)
    assert kit.install == f"edgeworthy {'routes' if kit.routes else 'targets'} install {name}"


def test_the_emulated_runtime_is_the_one_that_runs_here() -> None:
    """Bit-exactness between machines is asked of one version."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M))
    for part in kits.KITS["arm64"].parts:
        for file in part.files if part.source == "pypi" else ():
            assert file.version == pins[file.name]


def test_a_kit_goes_by_the_version_of_a_package_that_it_has() -> None:
    versions = {name: found.version for name, found in kits.KITS.items()}
    assert versions["arm64"] == "2.3.0"
    assert versions["browser"] == "2.5.3"
    assert versions["openvino"] == "2026.3.1"
    assert all(versions.values())


def test_the_page_has_every_kit_as_it_is() -> None:
    """What is known before an install; the rest is `make test-device`'s to compare."""
    rows = page()
    assert [*rows] == [*benchmark.SHOWN]
    for name, (*told, fetched, _, _) in rows.items():
        found = kits.KITS[name]
        assert tuple(told) == benchmark.told(found)
        assert megabytes(fetched) >= 0.99 * found.size / 1e6
        assert found.requirements or fetched == size(found.size)


def test_names_of_downloads_are_those_of_the_clients() -> None:
    """So a folder that ``apt-get download`` and ``npm pack`` filled can be installed from."""
    names = {file.name: file.filename for k in kits.KITS.values() for part in k.parts for file in part.files}
    assert names["zlib1g"].startswith("zlib1g_1%3a1.2.13")
    assert names["libc6"].startswith("libc6_2.36")
    assert names["@litertjs/core"] == "litertjs-core-2.5.3.tgz"
    assert names["numpy"].endswith("_aarch64.whl")
