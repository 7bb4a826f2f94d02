"""The maintainers' command, as far as it goes without the registries."""

from __future__ import annotations

from typing import Any

from edgeworthy import kits
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
