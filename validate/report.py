"""`report.json`, `report.md`, `report.html` (one file, nothing from outside) and `junit.xml`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pydantic

from .. import files
from ..errors import BadInput
from . import digest
from .plots import plots
from .results import GateResult, Report
from .summary import decibels, milliseconds, number, percent, six_digits, size, summarize

if TYPE_CHECKING:
    import jinja2

JSON, MARKDOWN, HTML, JUNIT = "report.json", "report.md", "report.html", "junit.xml"

_SHOWN = 5


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


def read(path: Path) -> Report:
    """Read a ``report.json``, or the one in a folder.

    Raises:
        BadInput: there is none, or it isn't one.
    """
    path = path / JSON if path.is_dir() else path
    try:
        return Report.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(
            "there is no report here", where=str(path), remedy="make one with `edgeworthy run SOURCE -o OUT`"
        ) from None
    except (pydantic.ValidationError, UnicodeDecodeError) as error:
        wrong = error.errors() if isinstance(error, pydantic.ValidationError) else []
        raise BadInput(
            "this is no report, or one of another version of edgeworthy",
            where=str(path),
            details=[": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"]))) for e in wrong[:_SHOWN]],
            remedy="make it again with `edgeworthy run SOURCE -o OUT`",
        ) from error
    except OSError as error:
        raise BadInput(
            f"can't read the report: {error.strerror}", where=str(path), remedy="give the folder of a run"
        ) from error


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


def summary(report: Report, baseline: Report | None = None) -> str:
    """The report in short, as Markdown for a pull request, with differences to ``baseline``."""
    titles, cells = digest.table(report, baseline)
    unheld = [line for line in report.gate.lines if line.status in ("fail", "inconclusive")] if report.gate else []
    return (
        _environment(autoescape=False)
        .get_template("digest.md.jinja")
        .render(
            r=report,
            titles=titles,
            cells=cells,
            open=unheld,
            said=digest.notes(report, baseline),
            most=digest.MOST_LINES,
        )
    )


def junit(gate: GateResult, suite: str) -> str:
    """The gate's lines as JUnit test cases, which CI systems show; inconclusive counts as an error."""
    tags = {"fail": "failure", "inconclusive": "error", "skipped": "skipped"}
    count = {tag: sum(tags.get(line.status) == tag for line in gate.lines) for tag in tags.values()}
    root = ElementTree.Element(
        "testsuite",
        name=_printable(suite),
        tests=str(len(gate.lines)),
        failures=str(count["failure"]),
        errors=str(count["error"]),
        skipped=str(count["skipped"]),
    )
    for line in gate.lines:
        case = ElementTree.SubElement(root, "testcase", classname=f"gate.{line.check}", name=_printable(line.subject))
        if tag := tags.get(line.status):
            ElementTree.SubElement(case, tag, message=_printable(line.message))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _render(template: str, report: Report, *, autoescape: bool) -> str:
    rows = summarize(report)
    drawn = plots(report, rows) if autoescape else {}  # Markdown has none
    page = _environment(autoescape=autoescape).get_template(template)
    return page.render(r=report, rows=rows, plots={k: drawn.get(k) for k in ("errors", "latency", "front")})


def _environment(*, autoescape: bool) -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
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
        "number": number,
        "db": decibels,
        "cosine": lambda v: "–" if v is None else f"{v:.6f}",
        "value": lambda v: "–" if v is None else v if isinstance(v, str) else six_digits(v),
        "cell": _cell,
    }
    environment.filters.update(filters)
    return environment


def _cell(text: object) -> str:
    """Text that stays in its Markdown table cell."""
    return str(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _printable(text: str) -> str:
    """Without the control characters that XML can't hold."""
    return "".join(c if c.isprintable() else " " for c in text)
