"""The verbs of the command line for Python. ``run`` and what it takes is in `run`; every stage is such a function."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..settings import load_config
from ..targets import find
from ..validate import gate as gates
from ..validate import report as reports
from ..validate.evidence import absent
from ..validate.regression import read_baseline
from ..validate.results import GateResult, Report
from ..validate.summary import summarize
from ..vocabulary import ROUTE
from . import pages
from .limits import check_names, possible_rows
from .run import run

if TYPE_CHECKING:
    import torch


def export(source: str | Path | torch.nn.Module, output: str | Path, **options: Any) -> Report:
    """PyTorch to ONNX. Options as `run`'s."""
    return run(source, output, stages=("export",), **options)


def convert(source: str | Path | torch.nn.Module, output: str | Path, **options: Any) -> Report:
    """ONNX to TFLite and SavedModel, in float32. Options as `run`'s."""
    return run(source, output, stages=("convert",), **options)


def quantize(source: str | Path | torch.nn.Module, output: str | Path, **options: Any) -> Report:
    """TFLite to int8, float16 and others. Options as `run`'s."""
    return run(source, output, stages=("quantize",), **options)


def recommend(source: str | Path | torch.nn.Module, output: str | Path, **options: Any) -> Report:
    """Try all ways to quantize, and say which to take: ``report.recommendation``. Options as `run`'s."""
    return run(source, output, stages=("recommend",), **options)


def validate(source: str | Path | torch.nn.Module, output: str | Path, **options: Any) -> Report:
    """Compare what every runtime computes. Options as `run`'s."""
    return run(source, output, stages=("validate",), **options)


def bench(source: str | Path | torch.nn.Module, output: str | Path, **options: Any) -> Report:
    """Time every runtime and artifact. Options as `run`'s."""
    return run(source, output, stages=("bench",), **options)


def gate(
    report: Report | str | Path,
    limits: Mapping[str, object] | None = None,
    *,
    config: str | Path | None = None,
    baseline: str | Path | None = None,
) -> GateResult:
    """Hold a report against limits; nothing is written and nothing is raised for a verdict.

    Args:
        report: A report, the folder of a run, or its ``report.json``. Of a folder the files are looked at too.
        limits: The table ``[gate]``, such as ``{"sqnr_db": {"int8": 20}}``; None: those of the report's own run.
        config: An ``edgeworthy.toml`` with a table ``[gate]``, which ``limits`` are laid over.
        baseline: The report, or the folder of it, that ``regression`` is held against.

    Raises:
        BadInput: there is no report, a limit is wrong or on a name that nothing has, or the baseline is the report
            itself or held against nothing.
    """
    folder = None
    if not isinstance(report, Report):
        path = Path(report)
        report, folder = reports.read(path), path if path.is_dir() else path.parent
    rules, origin = report.limits, gates.OWN
    if limits is not None or config is not None:
        rules = load_config(config, {"gate": limits} if limits else {}).gate
        origin = " and ".join([*([str(config)] if config else []), *(["the call"] if limits else [])])
    if baseline is not None:
        rules = rules.model_copy(update={"baseline": Path(baseline)})
    earlier = read_baseline(rules, folder)
    if rules is not report.limits:
        rows = [row for held in (report, earlier) if held for row in (*summarize(held), *absent(held))]
        routes = {row.name: find(row.hop.runtime).kind for row in rows if row.hop and row.name.startswith(ROUTE)}
        check_names(rules, [*possible_rows(routes=routes), *rows])
    return gates.evaluate(report, rules, origin=origin, folder=folder, baseline=earlier)


def report(output: str | Path, *, force: bool = False) -> Report:
    """Write the pages of a run's report again, and give the report.

    Raises:
        BadInput: there is no report, or a page was changed since and it isn't forced.
    """
    path = Path(output)
    read = read_report(path)
    pages.rewrite(read, path if path.is_dir() else path.parent, force=force)
    return read


def read_report(output: str | Path) -> Report:
    """The report of a run: of its folder, or of a ``report.json``.

    Raises:
        BadInput: there is none, or it is damaged.
    """
    return reports.read(Path(output))
