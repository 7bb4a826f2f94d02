"""The page of operators is that of this registry and of this list."""

from __future__ import annotations

from pathlib import Path

from .page import page

PAGE = Path(__file__).parents[2] / "docs" / "OPS.md"


def test_the_page_is_what_the_command_prints() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.conformance.page > docs/OPS.md"
