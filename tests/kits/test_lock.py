"""The maintainers' command, as far as it goes without the registries."""

from __future__ import annotations

import sys
import tomllib
from typing import Any

import pytest

from edgeworthy import kits
from edgeworthy.errors import NotAvailable
from edgeworthy.kits import kit, lock
from edgeworthy.kits.kit import File, Part

from .conftest import Registry, deb, part, tar, wheel


def test_toml_survives_what_texts_hold(make: Any, registry: Registry) -> None:
    """``make`` asserts that what is read is what was written."""
    file = registry.debian("a", deb({"./a": b""}))
    texts = {"A_B": "{kit}/x \\ \"quoted\" 'single' {brace}", "path with spaces.json": '{"a": "\\\\"}'}
    made = make(part(file, take=("a*", "b\\c"), leave=('"',), suite="s", architecture="arm64"), write=texts)
    assert made.write == texts


def test_wheels_of_another_machine_and_their_hashes(home: Any, make: Any, registry: Registry) -> None:
    """pip is asked for a machine that isn't this one, and what it brings is what is locked."""
    known = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b""}), "cp311-cp311-manylinux_2_28_s390x")
    wanted = make(part(File("tool", "1.0"), source="pypi", into="site", architecture="s390x"))
    text, requirements = lock.lock(wanted)
    (kit.FOLDER / "toy.toml").write_text(text)
    assert kit.read("toy").parts[0].files == (known,)
    assert requirements == ""
    again, _ = lock.lock(kit.read("toy"))
    assert again == text, "locking what is locked changes nothing"


def test_a_version_that_there_is_not(home: Any, make: Any, registry: Registry, capsys: Any) -> None:
    registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b""}), "cp311-cp311-manylinux_2_28_s390x")
    wanted = make(part(File("tool", "9.9"), source="pypi", into="site", architecture="s390x"))
    before = wanted.lock.read_text()
    assert lock.main(["toy"]) == 3
    assert "tool==9.9" in capsys.readouterr().err
    assert wanted.lock.read_text() == before


def test_what_stands_by_hand_stays() -> None:
    """Of a real kit: names, what to take, how it starts, and versions."""
    found = kits.KITS["arm64"]
    text = lock.to_toml(found)
    for words in ('take = ["usr/bin/qemu-aarch64"]', "PYTHONHOME", 'suite = "bookworm-backports"'):
        assert words in text


def test_parts_keep_their_defaults_out_of_the_file(make: Any, registry: Registry) -> None:
    made = make(Part("npm", "npm", (registry.npm("a", tar({"package/a": b""}, "w:gz")),)))
    lines = made.lock.read_text().splitlines()
    assert not [line for line in lines if line.startswith(("take", "leave", "suite", "architecture"))]


def test_what_a_kit_borrows_is_locked_nowhere() -> None:
    """uv keeps what an override puts on no machine, and what that alone needs, with a marker that never holds."""
    text = (
        "# a comment\nfirst==1 \\\n    --hash=sha256:aa\n"
        "torch==2 ; sys_platform == 'nowhere' \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
        "torchao==3 ; python_full_version < '3.12' \\\n    --hash=sha256:dd\n"
        "sympy==4 ; python_full_version >= '3.12' and sys_platform == 'nowhere' \\\n    --hash=sha256:ee\n"
    )
    kept = (
        "# a comment\nfirst==1 \\\n    --hash=sha256:aa\n"
        "torchao==3 ; python_full_version < '3.12' \\\n    --hash=sha256:dd\n"
    )
    assert lock.without_borrowed(text) == kept
    assert lock.without_borrowed(kept) == kept
    for kit_ in kits.KITS.values():
        assert not {line.partition("==")[0] for line in _locked(kit_)} & set(kit_.borrows), kit_.name


def test_uv_resolves_for_the_pythons_and_machines_of_the_kit_alone(make: Any, home: Any) -> None:
    plain = make(requirements="toy==1 --hash=sha256:aa")
    assert tomllib.loads(lock._project(plain)) == {
        "project": {"name": "kit", "version": "0", "dependencies": ["toy==1"], "requires-python": ">=3.11"},
        "tool": {"uv": {}},
    }
    narrow = make(requirements="toy==1 --hash=sha256:aa", before="3.12", machines=("x86_64",))
    hosts = ["python_full_version < '3.12' and sys_platform == 'linux' and platform_machine == 'x86_64'"]
    assert tomllib.loads(lock._project(narrow))["tool"] == {"uv": {"environments": hosts}}
    older = make(requirements="toy==1 --hash=sha256:aa", claims="3.12")
    assert tomllib.loads(lock._project(older))["project"]["requires-python"] == ">=3.12"


def test_a_python_that_has_no_wheels_is_told_before_anything_is_fetched(make: Any, home: Any) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    late = make(requirements="toy==1 --hash=sha256:aa", before=here)
    with pytest.raises(NotAvailable, match=f"for Python before {here} alone, and this is {here}"):
        kits.install(late)
    assert not kits.look(late).folder.exists()
    make(
        requirements="toy==1 --hash=sha256:aa", before=f"{sys.version_info.major}.{sys.version_info.minor + 1}"
    ).check_host()


def _locked(found: kits.Kit) -> list[str]:
    return found.locked_requirements.read_text(encoding="utf-8").splitlines() if found.requirements else []
