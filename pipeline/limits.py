"""The names in ``[gate]``: each has to be one that a row of a report can have, which is known before any work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from .. import targets
from ..config import GateTable
from ..errors import BadInput, did_you_mean
from ..metrics import METRICS, Metric
from ..schemes import FLOAT32, QUANTIZED
from ..tables import EVERY
from ..validate.evidence import names_of
from ..validate.summary import SummaryRow
from .subjects import row_name, row_name_given

if TYPE_CHECKING:
    from ..source.model_files import ModelFile


def possible_rows(
    asked: Iterable[str] = (), given: Mapping[str, ModelFile] | None = None, routes: Mapping[str, str] | None = None
) -> list[SummaryRow]:
    """The rows that a run can have: every target on every scheme that it takes, and the files that the user gives.

    A limit on one that this run has not is no slip: the gate fails it as not measured.

    Args:
        asked: Targets of the run, which may have addresses.
        given: Name → file of another converter.
        routes: Name → kind of a file that a converter was to make, and perhaps couldn't.
    """
    rows = []
    runtimes = [targets.find(name) for name in dict.fromkeys([*targets.TARGETS, *asked])]
    for target in runtimes:
        for scheme in (FLOAT32, *QUANTIZED) if target.kind == "tflite" else (FLOAT32,):
            key = {"pytorch": target.name, "tflite": scheme.artifact}.get(target.kind, target.kind)
            kind = "" if target.kind == "pytorch" else target.kind
            if target.takes_scheme(scheme.name):
                name = row_name(target.name, scheme.name)
                rows.append(SummaryRow(name=name, key=key, kind=kind, scheme=scheme.name))
    files = [(key, file.artifact.kind, file.scheme) for key, file in (given or {}).items()]
    for key, kind, computes in [*files, *((key, kind, FLOAT32.name) for key, kind in (routes or {}).items())]:
        name = row_name_given(key, computes)
        others = [f"{name} on {target.title}" for target in runtimes if target.kind == kind]
        rows += [SummaryRow(name=n, key=key, kind=kind, scheme=computes) for n in (name, *others)]
    return rows


def check_names(rules: GateTable, rows: Sequence[SummaryRow]) -> None:
    """Refuse limits that none of ``rows`` could be held against.

    Raises:
        BadInput: a limit, or an entry of ``must_convert``, is on something that nothing is called, or that its metric
            isn't measured of; names the nearest name.
    """
    files = [row for row in rows if row.kind]
    wrong = [_unknown("must_convert", name, files) for name in rules.must_convert or () if not _called(name, files)]
    for key, metric, names in _limits(rules):
        of = [row for row in (files if metric.stage == "artifact" else rows) if metric.applies(row)]
        wrong += [_unknown(key, name, of, rows) for name in names if name != EVERY and not _called(name, of)]
    if wrong:
        raise BadInput(
            "the gate has " + ("limits on names" if len(wrong) > 1 else "a limit on a name") + " that nothing has",
            where="[gate]",
            details=wrong,
            remedy=f"name a file ({', '.join(_short(files))}), or a row of the report such as {rows[0].name!r}",
        )


def _limits(rules: GateTable) -> Iterator[tuple[str, Metric, Mapping[str, float]]]:
    for metric in METRICS:
        yield metric.key, metric, rules.limits(metric.key)
        if metric.regression:
            yield f"regression.{metric.key}", metric, rules.regressions(metric.key)


def _called(name: str, rows: Sequence[SummaryRow]) -> bool:
    return any(name in names_of(row) for row in rows)


def _unknown(key: str, name: str, of: Sequence[SummaryRow], rows: Sequence[SummaryRow] = ()) -> str:
    if _called(name, rows):
        return f"{key}.{name}: {key} is not measured of {name}"
    known = {called for row in of for called in names_of(row)}
    return f"{key}.{name}: nothing is called {name!r}; {did_you_mean(name, sorted(known))}".rstrip("; ")


def _short(rows: Sequence[SummaryRow]) -> list[str]:
    """What files are called at the shortest."""
    schemes = {scheme.artifact: scheme.short_name for scheme in QUANTIZED}
    return list(
        dict.fromkeys(schemes.get(row.key, "tflite" if row.key == FLOAT32.artifact else row.key) for row in rows)
    )
