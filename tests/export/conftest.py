"""The networks that the tests of sources use, and those to export."""

import textwrap
from pathlib import Path

import pytest

from ..source.conftest import _paths, line_of, nets, refused
from .export_networks import NETS

__all__ = ["_paths", "line_of", "nets", "refused"]


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(textwrap.dedent(NETS).lstrip())
    return "nets.py"
