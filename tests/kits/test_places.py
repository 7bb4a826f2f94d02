"""Where kits lie: folders of any name, moved, closed to this user; and a kit that no target needs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeworthy import kits
from edgeworthy.errors import BadInput, NotAvailable
from edgeworthy.kits import place
from edgeworthy.kits.fetch import requirement
from edgeworthy.pipeline.progress import Silent
from edgeworthy.pipeline.trial import try_target

from .conftest import Registry, wheel

NAMES = ('it\'s a "home"', "ünï 日本\\x", "{kit} %s $HOME")
"""Of folders, as people call them."""


@pytest.mark.parametrize("name", NAMES)
def test_a_home_of_any_name_that_is_moved(
    registry: Registry, home: Path, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b""}))
    check = "import tool, pathlib, sys; assert pathlib.Path(sys.argv[1], 'where.txt').read_text() == 'here'"
    python = ("{kit}/env/bin/python",)
    toy = make(requirements=requirement(file), python=python, check=check, write={"where.txt": "here"})
    for folder in (tmp_path / name, tmp_path / "moved"):
        if folder.name == "moved":
            (tmp_path / name).rename(folder)
        monkeypatch.setenv("EDGEWORTHY_HOME", str(folder))
        assert (kits.install(toy) if folder.name != "moved" else kits.look(toy, thorough=True)).status == "ready"
        kits.check(toy)
        assert kits.launch(toy).python == (f"{folder}/kits/toy/env/bin/python",)


@pytest.mark.parametrize("mark", [":", ";"])
def test_a_home_that_variables_cannot_hold(toy: Any, tmp_path: Path, monkeypatch: Any, mark: str) -> None:
    monkeypatch.setenv("EDGEWORTHY_HOME", str(tmp_path / f"a{mark}b"))
    with pytest.raises(BadInput, match=f"no kit can lie in a folder with '{mark}' in its path") as caught:
        kits.install(toy)
    assert "EDGEWORTHY_HOME" in (caught.value.remedy or "")
    assert kits.look(toy).status == "absent" and not [*tmp_path.glob("a*")]


def test_a_home_that_this_user_may_not_look_into(toy: Any, home: Path) -> None:
    kits.install(toy)
    home.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:  # whom no permission holds
            os.seteuid(65534)
        assert kits.look(toy).status == "absent"
        assert kits.version("toy") is None
        with pytest.raises(NotAvailable, match="can't write here: Permission denied") as caught:
            kits.install(toy)
        assert "EDGEWORTHY_HOME" in (caught.value.remedy or "")
        assert kits.remove(toy).status == "absent"
    finally:
        os.seteuid(user)
        home.chmod(0o755)


def test_where_kits_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("EDGEWORTHY_HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert place.home() == Path("/home/ada/.local/share/edgeworthy")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert place.home() == Path("/home/ada/.local/share/edgeworthy"), "the specification has relative ones ignored"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert place.home() == Path("/data/edgeworthy")
    monkeypatch.setenv("EDGEWORTHY_HOME", "~/kits")
    assert place.home() == Path("/home/ada/kits")
    monkeypatch.setenv("EDGEWORTHY_HOME", "~no such user/kits")
    with pytest.raises(NotAvailable, match="knows no such home folder") as caught:
        place.home()
    assert caught.value.remedy == "set EDGEWORTHY_HOME to a folder"


def test_a_kit_without_a_target_is_looked_at_too(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kits.KITS._read, "toy", replace(toy, targets=()))
    with pytest.raises(NotAvailable, match="kit toy is not installed"):
        try_target("toy", Silent())
    kits.install(toy)
    found = try_target("toy", Silent())
    assert found.passes and (found.kit, found.version, found.rows) == ("toy", "1.0", [])
