"""What a kit borrows of edgeworthy's own environment: found where it is today, and missed when it is gone."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy import kits
from edgeworthy.errors import NotAvailable
from edgeworthy.kits.fetch import requirement

from .conftest import Registry, wheel


def test_what_a_kit_borrows_is_ours_and_comes_last(registry: Registry, home: Path, make: Any) -> None:
    """A package of its own wins over ours of the same name."""
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b"", "onnx.py": b"answer = 42\n"}))
    check = "import tool, onnx, numpy; assert onnx.answer == 42; print(numpy.__file__)"
    toy = make(requirements=requirement(file), python=("{kit}/env/bin/python",), check=check, borrows=("numpy",))
    kits.install(toy)
    assert _ran(toy, check) == np.__file__


def _ran(kit: Any, code: str) -> str:
    used = kits.launch(kit)
    command, environment = [*used.python, "-c", code], os.environ | used.environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_what_a_kit_borrows_may_move(
    registry: Registry, home: Path, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kit asks where it is today; what is gone makes the kit a damaged one, which says what it misses."""
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b""}))
    toy = make(requirements=requirement(file), python=("{kit}/env/bin/python",), borrows=("lent_package",))
    for place in ("first", "second"):
        (tmp_path / place / "lent_package").mkdir(parents=True)
        (tmp_path / place / "lent_package/__init__.py").write_text(f"place = {place!r}\n")
    monkeypatch.syspath_prepend(tmp_path / "first")
    kits.install(toy)
    code = "import lent_package; print(lent_package.place)"
    assert _ran(toy, code) == "first"
    shutil.rmtree(tmp_path / "first")
    importlib.invalidate_caches()
    state = kits.look(toy)
    assert state.status == "broken" and "lent_package of edgeworthy's own environment" in state.wording
    with pytest.raises(NotAvailable, match=r"is damaged \(kit toy works with the lent_package"):
        kits.launch(toy)
    monkeypatch.syspath_prepend(tmp_path / "second")
    assert kits.look(toy).status == "ready" and _ran(toy, code) == "second"


def test_an_environment_of_an_earlier_version_is_built_anew(registry: Registry, home: Path, make: Any) -> None:
    """They had a path in them, which goes when its checkout does."""
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b""}))
    toy = make(requirements=requirement(file), python=("{kit}/env/bin/python",), check="pass", borrows=("numpy",))
    kits.install(toy)
    (kits.site(toy) / "borrowed.pth").write_text(f"{Path(np.__file__).parents[1]}\n")
    assert kits.look(toy).faults == ("its borrowed.pth is of another version of edgeworthy",)
    assert kits.install(toy).status == "ready"
    assert _ran(toy, "import numpy; print(numpy.__file__)") == np.__file__


def test_what_is_not_there_can_not_be_borrowed(registry: Registry, home: Path, make: Any) -> None:
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b""}))
    toy = make(requirements=requirement(file), borrows=("torch_of_another_world",))
    with pytest.raises(NotAvailable, match="works with the torch_of_another_world of edgeworthy's own") as caught:
        kits.install(toy)
    assert caught.value.remedy == "pip install 'edgeworthy[torch_of_another_world]'"
    assert registry.asked == []
