"""What is installed is told without importing it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgeworthy.plugins import installed_version


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose import would be noticed, with a module, a package and a namespace in it; and a plain module."""
    for name in ("noisy/inner/__init__.py", "noisy/leaf.py", "noisy/space/far.py", "plain.py", "open/part.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "noisy/__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "there"),
    [
        ("noisy", True), ("noisy.leaf", True), ("noisy.inner", True), ("noisy.space.far", True), ("plain", True),
        ("open.part", True), ("json.decoder", True), ("edgeworthy.plugins", True),
        ("noisy.gone", False), ("noisy.leaf.gone", False), ("plain.gone", False), ("gone", False), ("gone.leaf", False),
    ],
)  # fmt: skip
def test_a_dotted_module_is_found_without_its_package(packages: Path, module: str, there: bool) -> None:
    assert installed_version(module, ("no-such-distribution",)) == ("unknown" if there else None)
    assert "noisy" not in sys.modules


def test_its_version_is_that_of_the_first_package_that_is_there() -> None:
    assert installed_version("pytest", ("no-such-distribution", "pytest")) == pytest.__version__
