"""A recommendation in the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from edgeworthy.cli.advice import advice
from edgeworthy.cli.console import Console
from edgeworthy.validate.advice import RecommendationResult

from ..validate.advice_rows import recommendation


def printed(found: RecommendationResult) -> str:
    console, stream = Console(), io.StringIO()
    console._stdout = stream
    advice(console, found, Path("out"))
    return stream.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = printed(recommendation())
    assert max(map(len, text.splitlines())) <= width
    for told in ("✓ Take int8", "int16 activations", "41.0 dB", "✗ int4 blocks: it crashed", "out/model_int8.tflite"):
        assert told in " ".join(text.split())


def test_a_pipe_gets_every_column_and_one_mark_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = printed(recommendation()).splitlines()
    (head,) = [line for line in lines if line.startswith("file ")]
    assert head.split() == ["file", "SQNR", "accuracy", "latency", "median", "size", "bytes"]
    rows = [line for line in lines[lines.index(head) + 2 :] if not line.startswith(("·", "✗", "–"))]
    marks = {line.split("  ")[0]: line.split()[-1] for line in rows}
    assert marks["int8"] == "take" and marks["dynamic"] == "front" and marks["int16 activations"] == "beaten"
    assert marks["int4 static"] == "misses" and marks["int4 blocks"] == "error"


def test_where_nothing_was_kept_it_says_how() -> None:
    text = printed(recommendation(written=[], again="", pick=None, status="fail", said="Nothing keeps to all limits"))
    assert text.startswith("✗ Nothing keeps") and "-o OUT keeps" in text and "make it again" not in text
