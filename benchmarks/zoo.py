"""The zoo: many architectures with fixed and with varying extents, both artifacts, against PyTorch in float64.

A row that passes, or fails as listed, is made once: it stays below OUT, and the next run goes on from there. What
failed otherwise, and what was changed of an architecture, is made again; --anew makes all, which a changed converter
asks for. The exit status is 1 when something failed that ``zoo_expected.toml`` doesn't list, or something that it lists
passed or failed otherwise.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from edgeworthy.benchmarks.architectures.catalogue import ARCHITECTURES, TRACED, fingerprint
from edgeworthy.benchmarks.zoo_rows import CONVERTED, FIXED, VARYING, Row, Workshop
from edgeworthy.files import write_text

EXPECTED = Path(__file__).with_name("zoo_expected.toml")
"""What can't be had: ``[[expected]]`` with ``rows`` (``NAME MODE``), ``artifacts``, ``says`` and ``reason``."""

Listed = Mapping[tuple[str, str, str], Mapping[str, Any]]
"""(name, mode, artifact) → its entry in that list."""

_HEADS = (
    "model", "extents that vary", "weights, k", "ONNX nodes", "TFLite ops", "ONNX Runtime", "TFLite", "SavedModel",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="TEXT", help="names with it; may be given again")
    parser.add_argument("--mode", choices=(FIXED, VARYING), help="default: both")
    parser.add_argument("--anew", action="store_true", help="make again what is in OUT")
    parser.add_argument("--stored", action="store_true", help="make nothing: show what OUT has")
    parser.add_argument("--out", type=Path, default=Path("out/zoo"), metavar="DIR")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--write", type=Path, metavar="FILE.md")
    options = parser.parse_args()
    jobs = [(name, mode) for name, mode in all_jobs()
            if any(text in name for text in options.only or [""]) and mode in (options.mode or mode)]  # fmt: skip
    listed = expected()
    found = stored(jobs, options.out) if options.stored else made(jobs, options.out, listed, anew=options.anew)
    rows = list(found)
    problems = unexpected(rows, listed)
    text = markdown(rows, shlex.join(["python", *sys.argv]), listed)
    if options.write:
        write_text(options.write, text)
    print(json.dumps([row.as_json() for row in rows], indent=1) if options.json else text)
    print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0


def all_jobs() -> list[tuple[str, str]]:
    """Name and mode of every row."""
    return [
        (name, mode) for name, one in ARCHITECTURES.items() for mode in (FIXED, VARYING) if mode == FIXED or one.axes
    ]


def stored(jobs: Iterable[tuple[str, str]], out: Path) -> Iterator[Row]:
    """Rows of earlier runs, of architectures as they are now."""
    for name, mode in jobs:
        file = out / f"{name}.{mode}.json"
        row = Row.of_json(json.loads(file.read_text())) if file.exists() else None
        if row is not None and row.key == fingerprint(name):
            yield row


def made(jobs: Iterable[tuple[str, str]], out: Path, listed: Listed, *, anew: bool) -> Iterator[Row]:
    """Rows, from an earlier run where they came out as they should."""
    out.mkdir(parents=True, exist_ok=True)
    with Workshop() as workshop:
        for name, mode in jobs:
            before = None if anew else next(stored([(name, mode)], out), None)
            if before is not None and not unexpected([before], listed):
                yield before
                continue
            with tempfile.TemporaryDirectory(prefix="edgeworthy-") as folder:
                row = workshop.row(name, mode, Path(folder))
            row.key = fingerprint(name)
            write_text(out / f"{name}.{mode}.json", json.dumps(row.as_json(), indent=1))
            said = "; ".join(f"{kind}: {row.why(kind)}" for kind in CONVERTED if not row.is_right(kind)) or "pass"
            print(f"{name:24} {mode:8} {row.seconds:5.1f} s  {said}", file=sys.stderr, flush=True)
            yield row


def expected(file: Path = EXPECTED) -> Listed:
    tables = tomllib.loads(file.read_text(encoding="utf-8")).get("expected", [])
    return {(*row.split(), kind): table for table in tables for row in table["rows"] for kind in table["artifacts"]}


def unexpected(rows: Iterable[Row], listed: Listed) -> list[str]:
    """What failed and isn't listed, and what is listed and didn't fail so."""
    said = []
    for row in rows:
        for kind in CONVERTED:
            why, table = row.why(kind), listed.get((row.name, row.mode, kind))
            where = f"{row.name}, {row.mode}, {kind}"
            if table is None:
                said += [] if row.is_right(kind) else [f"{where}: {why}"]
            elif row.is_right(kind):
                said.append(f"{where} passes, and is listed: {table['reason']}")
            elif table["says"] not in why:
                said.append(f"{where} fails otherwise than listed ({table['says']!r}): {why}")
    return said


def markdown(rows: Sequence[Row], command: str, listed: Listed) -> str:
    """The page: counts, a table for each family, and why something failed."""
    from edgeworthy.validate.host import current

    host, count = current(), len({row.name for row in rows})
    packages = " · ".join(f"{name} {version}" for name, version in host.packages.items())
    lines = [
        "# Zoo",
        "",
        f"{count} of {len(ARCHITECTURES)} architectures in small sizes, {len(rows)} of {len(all_jobs())} rows: with "
        "fixed extents, and with extents that vary, at three choices of them. Weights are random, by seed, with "
        "BatchNorm's statistics to match; each file is held against PyTorch in float64.",
        "",
        f"Made by `{command}` on {date.today()}: {host.cpu}, {host.system}, Python {host.python}, {packages}.",
        "",
        "Right: " + ", ".join(f"{k} {sum(row.is_right(k) for row in rows)} of {len(rows)}" for k in CONVERTED) + ".",
        "",
    ]
    for family in dict.fromkeys(ARCHITECTURES[row.name].family for row in rows):
        lines += [f"## {family.capitalize()}", "", f"| {' | '.join(_HEADS)} |", "| :-- | :-- |" + " --: |" * 6]
        lines += [f"| {' | '.join(cells(row))} |" for row in rows if ARCHITECTURES[row.name].family == family]
        lines.append("")
    lines += [
        "- *ONNX Runtime, TFLite, SavedModel*: the error against PyTorch in float64, divided by PyTorch's own in "
        "float32 (the noise floor): the larger of rms and maximum, the worst output. 10× passes. With fixed extents "
        "also at edges: zeros, ties, equal rows, extremes.",
    ]
    traced = sorted({row.name for row in rows} & {*TRACED})
    lines += [f"- {', '.join(traced)}: with `--exporter torchscript`."] if traced else []
    failed = [(row, kind) for row in rows for kind in CONVERTED if not row.is_right(kind)]
    lines += ["", "## What failed", ""] if failed else []
    for row, kind in failed:
        why, table = row.why(kind), listed.get((row.name, row.mode, kind))
        said = f"*{table['says']}*: {table['reason']}" if table and table["says"] in why else why
        lines.append(f"- {row.name}, {row.mode}, {kind}: {said}")
    return "\n".join(lines).rstrip() + "\n"


def cells(row: Row) -> list[str]:
    named = [dim for axes in ARCHITECTURES[row.name].dimensions.values() for dim in axes.values()]
    varying = " ".join(dict.fromkeys(named)) if row.mode == VARYING else "–"
    operators = row.outcomes["tflite"].operators if "tflite" in row.outcomes else None
    counts = (None if row.parameters is None else row.parameters // 1000, row.onnx_nodes, operators)
    shown = ["–" if count is None else str(count) for count in counts]
    return [row.name, varying, *shown, *(figure(row, kind) for kind in ("onnx", *CONVERTED))]


def figure(row: Row, kind: str) -> str:
    """Noise floors; what failed stands out."""
    outcome = row.outcomes.get(kind)
    if row.cause or outcome is None:
        return "**no graph**"
    ratio = outcome.ratio
    number = "exact" if ratio is None else f"{ratio:.2f}×" if ratio < 100 else f"{ratio:.3g}×"
    return number if outcome.status == "pass" else f"**{outcome.status}**" if ratio is None else f"**{number}**"


if __name__ == "__main__":
    sys.exit(main())
