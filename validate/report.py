"""`report.json`, `report.md`, `report.html` (one file, nothing from outside) and `junit.xml`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from .. import files
from ..display import milliseconds, number, percent, six_digits, size, times
from ..errors import FIX, BadInput
from . import analysis_plots, analysis_words, digest
from .plots import plots
from .report_file import JSON as JSON
from .report_file import read as read
from .results import GateResult, Report
from .summary import decibels, flips, glance, latency_columns, summarize

if TYPE_CHECKING:
    import jinja2

MARKDOWN, HTML, JUNIT = "report.md", "report.html", "junit.xml"


def write(report: Report, output: Path) -> dict[str, Path]:
    """Write every form of the report into ``output``, each atomically.

    Returns:
        File name → path.
    """
    texts = {
        JSON: report.model_dump_json(indent=2) + "\n",
        MARKDOWN: markdown(report),
        HTML: html(report),
    }
    if report.gate:
        texts[JUNIT] = junit(report.gate, report.model.spec)
    for name, text in texts.items():
        files.write_text(output / name, text)
    return {name: output / name for name in texts}


def check_gate_file(path: Path, folder: Path) -> None:
    """Refuse a name that ``write_gate`` can't write to.

    Raises:
        BadInput: it is neither .json nor .xml, or one of the run's own files in ``folder``.
    """
    if path.suffix not in (".json", ".xml"):
        raise BadInput(
            f"{path.name} is neither .json nor .xml", where="--output", remedy="name it gate.json or gate.xml"
        )
    if path.resolve() in {(folder / name).resolve() for name in (JSON, JUNIT, "manifest.json")}:
        raise BadInput(
            "that is a file of the run, which keeps its own verdict", where=str(path), remedy="choose another name"
        )


def write_gate(result: GateResult, suite: str, path: Path) -> None:
    """Write the result of holding a report against other limits: .json, or .xml as JUnit."""
    text = junit(result, suite) if path.suffix == ".xml" else result.model_dump_json(indent=2) + "\n"
    files.write_text(path, text)


def schema() -> str:
    """The JSON schema of ``report.json``, as published in ``docs/report.schema.json``."""
    made = Report.model_json_schema(mode="serialization")
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def html(report: Report) -> str:
    """The report as one HTML page with inline pictures."""
    return _render("report.html.jinja", report, autoescape=True)


def markdown(report: Report) -> str:
    """The report as GitHub-flavoured Markdown."""
    return _render("report.md.jinja", report, autoescape=False)


def summary_record(report: Report, baseline: Report | None = None) -> dict[str, object]:
    """What `summary` says, for machines: the verdict, the lines that don't pass, and the rows as they are shown."""
    titles, cells = digest.table(report, baseline)
    return {
        "source": report.model.spec,
        "status": report.gate.status if report.gate else None,
        "open": [line.model_dump() for line in digest.unheld(report)],
        "warnings": report.warnings,
        "rows": [dict(zip(titles, line, strict=True)) for line in cells],
        "notes": digest.notes(report, baseline),
    }


def summary(report: Report, baseline: Report | None = None) -> str:
    """The report in short, as Markdown for a pull request, with differences to ``baseline``."""
    titles, cells = digest.table(report, baseline)
    return (
        environment(autoescape=False)
        .get_template("digest.md.jinja")
        .render(
            r=report,
            titles=titles,
            cells=cells,
            open=digest.unheld(report),
            said=digest.notes(report, baseline),
            most=digest.MOST_LINES,
        )
    )


def junit(gate: GateResult, suite: str) -> str:
    """The gate's lines as JUnit test cases, which CI systems show; inconclusive counts as an error."""
    tags = {"fail": "failure", "inconclusive": "error"}
    count = {tag: sum(tags.get(line.status) == tag for line in gate.lines) for tag in tags.values()}
    root = ElementTree.Element(
        "testsuite",
        name=_printable(suite),
        tests=str(len(gate.lines)),
        failures=str(count["failure"]),
        errors=str(count["error"]),
    )
    for line in gate.lines:
        case = ElementTree.SubElement(root, "testcase", classname=f"gate.{line.check}", name=_printable(line.subject))
        if tag := tags.get(line.status):
            why = ElementTree.SubElement(case, tag, message=_printable(line.message))
            why.text = f"{FIX.strip()} {_printable(line.remedy)}" if line.remedy else None
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _render(template: str, report: Report, *, autoescape: bool) -> str:
    rows = summarize(report)
    drawn = plots(report, rows) if autoescape else {}  # Markdown has none
    page = environment(autoescape=autoescape).get_template(template)
    return page.render(
        r=report,
        rows=rows,
        glance=glance(report),
        timed=[one for row in rows for one in row.timed],
        latency_columns=latency_columns(),
        fallbacks=_fallbacks(report),
        quanta=[
            (hop, output)
            for hop in (report.parity.hops if report.parity else ())
            for output in hop.outputs
            if output.quanta is not None
        ],
        words=analysis_words,
        analyses=[
            (a, analysis_plots.plots(a) if autoescape else {}) for a in report.analyses if a.findings or a.layers
        ],
        bargains={q.artifact: q.tradeoff for q in report.quantization if q.tradeoff},
        flips=flips(report.accuracy),
        plots={k: drawn.get(k) for k in ("errors", "latency", "front")},
    )


def _fallbacks(report: Report) -> list[str]:
    """For every row with a delegate that left nodes to others: which."""
    return [
        f"{row.name}: {row.receipt.asked} left {', '.join(row.receipt.fallback)}"
        for row in (report.latency.rows if report.latency else ())
        if row.receipt and row.receipt.fallback
    ]


def environment(*folders: Path, autoescape: bool) -> jinja2.Environment:
    """Where pages are rendered: the templates of ``folders`` and of this one, and the filters for numbers and cells."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "size": size,
        "ms": milliseconds,
        "percent": percent,
        "times": times,
        "number": number,
        "db": decibels,
        "cosine": lambda v: "–" if v is None else f"{v:.6f}",
        "value": _value,
        "cell": _cell,
    }
    made.filters.update(filters)
    return made


def _value(value: float | str | None) -> str:
    """A limit or what was measured; of a hash its beginning: the table of files has it whole."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return f"{value[:12]}…" if re.fullmatch("[0-9a-f]{64}", value) else value
    return six_digits(value)


def _cell(text: object) -> str:
    """Text that stays in its Markdown table cell."""
    return str(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _printable(text: str) -> str:
    """Without the control characters that XML can't hold."""
    return "".join(c if c.isprintable() else " " for c in text)
