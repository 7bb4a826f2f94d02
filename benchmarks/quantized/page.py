"""The tables of ``docs/quantization.md``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from edgeworthy.files import write_text
from edgeworthy.validate.host import current

from .bars import BARS
from .make import BOTH, REPAIRED, Origin
from .models import SUBJECTS
from .rows import ENGINES, OURS, Row

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"

_LOST = re.compile(r"[|\n]+")


def put(path: Path, text: str, marks: tuple[str, str] = (BEGIN, END)) -> None:
    """Write the figures between the marks of a page.

    Raises:
        ValueError: the page doesn't have each of them once.
    """
    page = path.read_text(encoding="utf-8")
    if any(page.count(mark) != 1 for mark in marks):
        raise ValueError(f"{path} needs {' and '.join(marks)} once each")
    before, _, rest = page.partition(marks[0])
    write_text(path, f"{before}{marks[0]}\n\n{text}\n{marks[1]}{rest.partition(marks[1])[2]}")


def markdown(rows: Sequence[Row], missed: Sequence[str], command: str, origin: Origin) -> str:
    """What was measured, how, and which bars were missed."""
    host = current()
    packages = " · ".join(f"{name} {version}" for name, version in host.packages.items())
    models = list(dict.fromkeys(row.model for row in rows))
    lines = [
        f"Made by `{command}` on {date.today()}: {host.cpu}, {host.logical_cores} cores, Python {host.python}, "
        f"{packages}. Ranges from {origin.samples} samples, figures from {origin.held_out} others.",
        "",
        *_stale(rows),
        *_against_engines(rows, models),
        "",
        *_schemes(rows, models),
        "",
        *_legend(),
        "",
        *_models(models),
    ]
    if missed:
        lines += ["", "Bars that were missed:", "", *(f"- {_LOST.sub(' ', line)}" for line in missed)]
    return "\n".join(lines) + "\n"


def _stale(rows: Sequence[Row]) -> Iterator[str]:
    """Which models' files are not what the code of today makes."""
    for origin in dict.fromkeys(row.origin for row in rows if row.origin):
        models = dict.fromkeys(row.model for row in rows if row.origin == origin)
        yield f"Made earlier, by {origin}: {', '.join(models)}."
        yield ""


def _against_engines(rows: Sequence[Row], models: Sequence[str]) -> Iterator[str]:
    heads = ["model", "int8", "× float", "size", "top-1", *ENGINES, "both", "repaired", "× float", "size"]
    yield _head(heads)
    for model in models:
        of = {(row.by, row.scheme): row for row in rows if row.model == model}
        int8, repaired = of.get((OURS, "int8")), of.get((OURS, REPAIRED))
        cells = [_db(int8), _ratio(int8), _share(int8), _agreement(int8)]
        cells += [_db(of.get((engine, "int8"))) for engine in ENGINES]
        cells += [_db(of.get((OURS, BOTH))), _db(repaired), _ratio(repaired), _share(repaired)]
        yield _line([model, *cells])


def _schemes(rows: Sequence[Row], models: Sequence[str]) -> Iterator[str]:
    schemes = list(
        dict.fromkeys(row.scheme for row in rows if row.by == OURS and row.scheme not in ("float32", BOTH, REPAIRED))
    )
    yield "Every scheme: dB, time and size against the float file."
    yield ""
    yield _head(["model", *(f"`{scheme}`" for scheme in schemes)])
    for model in models:
        of = {row.scheme: row for row in rows if row.model == model and row.by == OURS}
        cells = []
        for scheme in schemes:
            row = of.get(scheme)
            told = row is not None and not row.failure and row.worst_db is not None
            cells.append(f"{_db(row)} · {_ratio(row)} · {_share(row)}" if told else _db(row))
        yield _line([model, *cells])


def _models(models: Sequence[str]) -> Iterator[str]:
    yield _head(["model", "what it is", "weights", "data"])
    for name in models:
        subject = SUBJECTS[name]
        yield _line([name, subject.summary, subject.package or "random, by seed", subject.data])


def _legend() -> Iterator[str]:
    yield (
        "- *dB*: signal to quantization noise against the float TFLite file, of the worst group of channels of the "
        "worst output."
    )
    yield "- *× float*: median time of one inference ÷ the float file's, one thread, XNNPACK, in turns."
    yield "- *size*: bytes ÷ the float file's."
    yield "- *top-1*: share of the samples with the same class, where there are classes."
    yield f"- *{', '.join(ENGINES)}*: the engine by itself, as its makers call it, on the same samples."
    yield "- *both*: `--engine both`. *repaired*: `--repair` with its defaults."
    yield "- Bars: " + "; ".join(BARS) + "."


def _head(cells: Sequence[str]) -> str:
    return _line(cells) + "\n" + _line([":--", *["--:"] * (len(cells) - 1)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _db(row: Row | None) -> str:
    if row is None:
        return "–"
    return "**failed**" if row.failure or row.worst_db is None else f"{row.worst_db:.1f}"


def _ratio(row: Row | None) -> str:
    return "–" if row is None or row.latency is None else f"{row.latency:.2f}"


def _share(row: Row | None) -> str:
    return "–" if row is None or row.size is None else f"{row.size:.0%}"


def _agreement(row: Row | None) -> str:
    return "–" if row is None or row.agreement is None else f"{row.agreement:.0%}"
