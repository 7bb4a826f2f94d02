"""The report's files: they say what was measured, need nothing from outside, and no name can break them."""

from __future__ import annotations

import html as html_text
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest

from edgeworthy.config import GateTable
from edgeworthy.display import milliseconds, number, size
from edgeworthy.errors import BadInput
from edgeworthy.numerics import comparison as metrics
from edgeworthy.numerics.comparison import Errors
from edgeworthy.numerics.floor import Floor
from edgeworthy.validate import gate, judge
from edgeworthy.validate import report as reports
from edgeworthy.validate.drawing import WIDTHS
from edgeworthy.validate.plots import plots
from edgeworthy.validate.results import GateLine, Report
from edgeworthy.validate.summary import Figure, summarize

ROOT = Path(__file__).parents[2]
EVIL = '<script>alert("1")</script>|$x$ & \\'


@pytest.fixture
def gated(report: Report) -> Report:
    rules = GateTable.model_validate({"size_ratio": {"int8": 0.1}, "latency_ratio": {"int8": 0.42}})
    return report.model_copy(update={"gate": gate.evaluate(report, rules), "warnings": ["calibrated at random"]})


def renamed(report: Report) -> Report:
    """The report with a hostile name wherever a user's or a model's text goes."""
    text = report.model_dump_json()
    for name in ("sample:digits_cnn", "logits", "TFLite int8", "CONV_2D"):
        text = text.replace(json.dumps(name)[1:-1], json.dumps(EVIL)[1:-1])
    return Report.model_validate_json(text)


def test_written_report_reads_back_and_fits_the_published_schema(gated: Report, tmp_path: Path) -> None:
    reports.write(gated, tmp_path)
    assert reports.read(tmp_path) == gated
    schema = json.loads((ROOT / "docs/report.schema.json").read_text())
    jsonschema.validate(json.loads((tmp_path / "report.json").read_text()), schema)


def test_schema_in_docs_is_current() -> None:
    published = (ROOT / "docs/report.schema.json").read_text()
    assert published == reports.schema(), "run: edgeworthy report --schema > docs/report.schema.json"


class Page(HTMLParser):
    """Collects what a browser would fetch, what it would run, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href") and not (v or "").startswith("#")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_is_self_contained(gated: Report) -> None:
    text = reports.html(gated)
    page = Page(text)
    assert page.fetched == []
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert page.tags.count("svg") == 2 * 3, "for a wide page and for a phone"
    for said in ("98.33 %", "40.3 dB", "calibrated at random", "The gate fails", "TFLite float32"):
        assert said in page.text


def test_html_pictures_use_the_page_colours_and_ids_of_their_own(gated: Report) -> None:
    text = reports.html(gated)
    assert "#01020" not in text
    assert "var(--first)" in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)


def svg_texts(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_pictures_show_the_figures_of_the_table(report: Report) -> None:
    """Of several outputs the one that the verdict is about, not the first; shares as in the table of parity."""
    assert report.parity
    assert report.latency
    hops = report.parity.hops
    float32, int8 = hops[2].outputs[0], hops[-1].outputs[0]
    worse = metrics.compare([np.array([1.0, 2.0])], [np.array([1.0, 2.5])])
    far = float32.model_copy(update={"name": "boxes", "noise_ratio": 777.0, "bound": 10.0, "passed": False})
    low = int8.model_copy(update={"name": "boxes", "vs_truth": worse, "bound": 15.0})
    changed = [
        *hops[:2],
        hops[2].model_copy(update={"outputs": [float32, far], "status": "fail"}),
        *hops[3:-1],
        hops[-1].model_copy(update={"outputs": [int8, low]}),
    ]
    report = report.model_copy(update={"parity": report.parity.model_copy(update={"hops": changed})})
    rows = summarize(report)
    figures = {row.name: row.figure for row in rows}
    assert figures["ONNX Runtime"] == Figure(777.0, "noise", 10.0)
    assert figures["TFLite int8"] == Figure(worse.sqnr_db, "dB", 15.0)
    for drawn in plots(report, rows)["errors"].values():
        shown = svg_texts(drawn)
        for row in rows:
            assert row.parity in shown
            assert number(row.own_share) in shown
        assert f"{worse.sqnr_db:.1f} dB" in shown
        assert "7.8e+02× noise" in shown
        assert "var(--fail)" in drawn
        assert drawn.count("stroke-dasharray") >= 2, "the limits"
    assert report.latency
    for kind in WIDTHS:
        latency = svg_texts(plots(report, rows)["latency"][kind])
        assert {milliseconds(r.p50_ms) for r in report.latency.rows} <= set(latency)


def test_the_bound_is_that_of_the_rule() -> None:
    """By the noise floor, by SQNR, and by tolerances, which bound neither."""
    truth, off = [np.array([[1.0, -2.0, 0.0]])], [np.array([[1.0, -2.0, 1e-6]], np.float32)]
    floor = Floor.of(truth, None)
    given = {"scheme": "float32", "dtype": "float32", "floor": floor}
    assert judge.judge("y", off, truth, rules=judge.Rules(multiple=7), **given).bound == 7
    assert judge.judge("y", off, truth, rules=judge.Rules(atol={"y": 1.0}), **given).bound is None
    quantized = given | {"scheme": "float16"}
    assert judge.judge("y", off, truth, rules=judge.Rules(sqnr_db={"float16": 33.0}), **quantized).bound == 33


def test_html_escapes_every_name(gated: Report) -> None:
    page = Page(reports.html(renamed(gated)))
    assert "script" not in page.tags
    assert EVIL in page.text


def test_markdown_tables_stay_tables(gated: Report) -> None:
    text = reports.markdown(renamed(gated))
    widths: list[int] = []
    for line in text.splitlines():
        if line.startswith("|"):
            widths.append(len(re.findall(r"(?<!\\)\|", line)))
        elif widths:
            assert len(set(widths)) == 1, text
            widths = []
    assert "<script" not in text
    assert "**Gate: fail**" in text


def test_junit_counts_and_names(gated: Report) -> None:
    assert gated.gate
    suite = ElementTree.fromstring(reports.junit(gated.gate, EVIL + "\x07"))
    assert (suite.get("failures"), suite.get("errors")) == ("1", "1")
    assert int(suite.get("tests", 0)) == len(gated.gate.lines)
    failed = [case for case in suite if case.find("failure") is not None]
    assert [case.get("classname") for case in failed] == ["gate.size_ratio"]


def test_reports_of_single_stages_can_be_written(report: Report, tmp_path: Path) -> None:
    bare = report.model_copy(
        update={
            "artifacts": report.artifacts[:1],
            "parity": None,
            "latency": None,
            "accuracy": None,
            "conversion": None,
            "quantization": [],
        }
    )
    written = reports.write(bare, tmp_path)
    assert set(written) == {"report.json", "report.md", "report.html"}
    assert "model.onnx" in (tmp_path / "report.html").read_text()


def test_rows_that_failed_are_shown_with_their_message(report: Report) -> None:
    assert report.parity
    assert report.latency
    hop = report.parity.hops[3].model_copy(update={"status": "error", "outputs": [], "failure": "crashed with SIGSEGV"})
    row = report.latency.rows[2].model_copy(
        update={"status": "error", "p50_ms": None, "quantiles_ms": [], "failure": "hung: timeout"}
    )
    changed = report.model_copy(
        update={
            "parity": report.parity.model_copy(
                update={"hops": [*report.parity.hops[:3], hop, *report.parity.hops[4:]]}
            ),
            "latency": report.latency.model_copy(
                update={"rows": [*report.latency.rows[:2], row, *report.latency.rows[3:]]}
            ),
        }
    )
    for text in (reports.html(changed), reports.markdown(changed)):
        assert "crashed with SIGSEGV" in text
        assert "hung: timeout" in text
    assert {r.status for r in summarize(changed)} == {"pass", "error"}


def test_summary_of_several_threads_has_them_all(report: Report) -> None:
    assert report.latency
    rows = report.latency.rows
    slow = [r.model_copy(update={"threads": 2, "status": "error", "failure": "hung: timeout"}) for r in rows]
    both = report.latency.model_copy(update={"rows": [*rows, *slow]})
    last = summarize(report.model_copy(update={"latency": both}))[-1]
    assert [r.threads for r in last.latencies] == [1, 2]
    assert last.latency == rows[-1]
    assert last.status == "error"


def test_summary_of_integer_outputs_has_no_decibels(report: Report) -> None:
    assert report.parity
    hop = report.parity.hops[-1]
    errors = metrics.compare([np.array([1, 2, 3, 4])], [np.array([1, 2, 3, 5])])
    indices = hop.outputs[0].model_copy(update={"dtype": "int64", "vs_truth": errors, "vs_previous": errors})
    for outputs, own in (([indices], 0.5), ([hop.outputs[0], indices], hop.outputs[0].vs_previous)):
        parity = report.parity.model_copy(update={"hops": [hop.model_copy(update={"outputs": outputs})]})
        row = summarize(report.model_copy(update={"parity": parity}))[0]
        assert row.parity == "75 % equal"
        assert row.own_share == (own.rms if isinstance(own, Errors) else own)


def test_runtimes_on_one_file_are_rows_of_their_own(report: Report) -> None:
    assert report.parity
    onnx = next(h for h in report.parity.hops if h.artifact == "onnx")
    other = onnx.model_copy(update={"name": "ONNX reference", "runtime": "onnx-reference", "status": "fail"})
    parity = report.parity.model_copy(update={"hops": [*report.parity.hops, other]})
    rows = {row.name: row.status for row in summarize(report.model_copy(update={"parity": parity}))}
    assert (rows["ONNX Runtime"], rows["ONNX reference"]) == ("pass", "fail")


def test_reading_what_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no report here"):
        reports.read(tmp_path)
    (tmp_path / "report.json").write_text('{"schema_version": 1}')
    with pytest.raises(BadInput, match="this is no report"):
        reports.read(tmp_path)
    (tmp_path / "report.json").write_bytes(b"\xff")
    with pytest.raises(BadInput, match="this is no report"):
        reports.read(tmp_path / "report.json")


@pytest.mark.parametrize(("version", "remedy"), [(0, "make it again"), (2, "update edgeworthy")])
def test_a_report_of_another_schema_version_is_refused(
    report: Report, tmp_path: Path, version: int, remedy: str
) -> None:
    other = json.loads(report.model_dump_json()) | {"schema_version": version, "edgeworthy": "9.8.7"}
    (tmp_path / "report.json").write_text(json.dumps(other | {"of_another_version": True}))
    with pytest.raises(BadInput, match=f"version {version} of the schema, and version 1 is read here") as caught:
        reports.read(tmp_path)
    assert caught.value.where == str(tmp_path / "report.json")
    assert caught.value.details == ("it was made by edgeworthy 9.8.7",)
    assert remedy in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (42_608, "42.6 kB"), (369e6, "369 MB")],
)
def test_sizes(value: float | None, text: str) -> None:
    assert size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0121, "12.1 µs"), (0.0004, "0.400 µs"), (12.34, "12.3 ms"), (2500, "2.50 s")],
)
def test_times(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


@pytest.mark.parametrize("form", [reports.html, reports.markdown, reports.summary])
def test_a_line_that_fails_has_its_fix_beside_it(report: Report, form: Any) -> None:
    verdict = gate.evaluate(report, GateTable.model_validate({"size_bytes": {"int8": 1}}))
    (line,) = verdict.failing
    text = html_text.unescape(form(report.model_copy(update={"gate": verdict})))
    assert f"fix: {line.remedy}" in text
    junit = ElementTree.fromstring(reports.junit(verdict, "suite"))
    (failure,) = junit.iter("failure")
    assert failure.text == f"fix: {line.remedy}" and failure.get("message") == line.message


def test_a_hash_stands_whole_once_in_markdown(report: Report) -> None:
    digest = "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"
    held = report.model_copy(update={"artifacts": [report.artifacts[-1].model_copy(update={"sha256": digest})]})
    lines = [
        GateLine(check="files", subject="m.tflite", status="pass", limit=digest, measured=digest, message="as it was")
    ]
    verdict = gate.evaluate(held).model_copy(update={"lines": lines})
    text = reports.markdown(held.model_copy(update={"gate": verdict}))
    assert text.count(digest) == 1 and f"`{digest}`" in text
    assert text.count(f"| {digest[:12]}…") == 2


def test_the_summary_for_machines_says_what_the_one_for_people_says(gated: Report) -> None:
    record: Any = json.loads(json.dumps(reports.summary_record(gated)))
    assert record["status"] == "fail" and record["source"] == gated.model.spec
    text = reports.summary(gated)
    assert {line["status"] for line in record["open"]} == {"fail", "inconclusive"}
    for line in record["open"]:
        assert line["message"] in text and line["remedy"] in text
    for row in record["rows"]:
        assert f"| {' | '.join(row.values())} |" in text
