"""The analysis of quantized files in the terminal."""

from __future__ import annotations

import io

import pytest

from edgeworthy.analysis import (
    Deviation,
    Finding,
    LayerError,
    OperatorSensitivity,
    Place,
    QuantizationAnalysis,
    SensitivityResult,
)
from edgeworthy.cli.analysis import analysis
from edgeworthy.cli.console import Console

BAD = Place(op="CONCATENATION", tensor="cat_channels_last", module="head.join", source="models/detector.py:41")


def deviation(db: float, channels: str = "") -> Deviation:
    return Deviation(sqnr_db=38.6, worst_group_db=db, channels=channels, exact=False, mean_quanta=0.16, max_quanta=3.0)


def layer(place: Place, db: float, number: int, **more: object) -> LayerError:
    told = {"accumulated": deviation(db - 1), "local": deviation(db, "4–15" if db < 1 else "")}
    return LayerError.model_validate(
        {"place": place, "index": number, "dtype": "int8", "used": (0, 9), "there": (0, 10)} | told | more
    )


def found(count: int = 20) -> QuantizationAnalysis:
    places = [
        Place(op="CONV_2D", tensor=f"features.{n}/conv", module=f"features.{n}", source="m.py:7") for n in range(count)
    ]
    findings = [
        Finding(
            rule="mixed_ranges", severity="error", place=BAD, message="channels 4–15 have 0.3 levels", remedy="mend it"
        ),
        Finding(rule="ping_pong", severity="note", place=places[0], message="QUANTIZE → QUANTIZE", remedy="align them"),
    ]
    rows = [
        OperatorSensitivity(place=BAD, sqnr_db=35.2),
        OperatorSensitivity(place=places[1], sqnr_db=None, failure="the quantizer crashed with SIGABRT"),
    ]
    follower = layer(Place(op="RESHAPE", tensor="view"), 0.0, count + 1, scale_of=BAD.tensor)
    return QuantizationAnalysis(
        scheme="static_wi8_ai8",
        artifact="tflite_static_wi8_ai8",
        findings=findings,
        counts={"error": 1, "note": 1},
        samples=8,
        inputs="samples held out",
        layers=[layer(BAD, 0.0, count), *(layer(p, 30 + n, n) for n, p in enumerate(places)), follower],
        layer_count=count + 2,
        sensitivity=SensitivityResult(mode="all-but-one", base_db=0.0, rows=rows, candidates=21, seconds=60, samples=8),
    )


def printed(shown: QuantizationAnalysis) -> str:
    console, stream = Console(), io.StringIO()
    console._stdout = stream
    analysis(console, shown)
    return stream.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = printed(found())
    assert max(map(len, text.splitlines())) <= width
    for told in ("CONCATENATION", "0.0 dB", "mixed_ranges", "own error", "35.2 dB", "+35.2", "2 of 21 operators"):
        assert told in " ".join(text.split())


def test_a_pipe_gets_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = printed(found()).splitlines()
    row = next(line for line in lines if line.startswith("CONCATENATION "))
    assert " ".join(row.split()) == "CONCATENATION 0.0 dB -1.0 dB – 0.16 / 3 90 % 0.00 % head.join"
    assert lines[lines.index(row) + 1].split() == ["cat_channels_last", "models/detector.py:41"]
    assert "· cat_channels_last: channels 4–15, all together 38.6 dB" in lines
    assert "· cat_channels_last: its scale explains view" in lines
    assert sum(line.startswith("CONV_2D features.") for line in lines) == 11 + 1, "the twelve worst, and what was tried"
    assert not any(line.startswith("RESHAPE") for line in lines)
    assert "✗ CONV_2D features.1/conv: the quantizer crashed with SIGABRT" in lines


def test_without_samples_the_worst_findings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    lint = found().model_copy(update={"samples": 0, "layers": [], "sensitivity": None})
    assert printed(lint).splitlines() == [
        "· int8: the lint found 1 error, 1 note; --analyze shows all",
        "✗ mixed_ranges: CONCATENATION cat_channels_last: channels 4–15 have 0.3 levels",
        "  head.join models/detector.py:41",
        "  fix: mend it",
    ]
    assert printed(lint.model_copy(update={"findings": [], "counts": {}})) == ""
