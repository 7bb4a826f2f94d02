"""The verdict on one output of one hop: which rule applies, and whether it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ..display import quanta
from ..numerics import comparison as metrics
from ..numerics.comparison import Errors
from ..numerics.fidelity import Fidelity, fidelity
from ..numerics.floor import EPS, Floor
from ..schemes import SCHEMES
from ..tables import EVERY
from ..vocabulary import Whose
from . import remedies
from .record import Status
from .results import EdgeError, OutputParity

if TYPE_CHECKING:
    from ..artifact import Array


@dataclass(frozen=True)
class Rules:
    """Limits of parity.

    Attributes:
        multiple: A float32 artifact passes within this many noise floors.
        atol: Output name (``*``: all) → absolute tolerance. A float32 output that has an ``atol`` or an ``rtol``
            is judged by ``|a-b| ≤ atol + rtol·|b|`` on every element, instead of by the floor.
        rtol: Output name (``*``: all) → relative tolerance.
        sqnr_db: Scheme (``*``: all others) → least SQNR of a quantized artifact in dB; default: the scheme's own.
        top1_agreement: Least top-1 agreement of a quantized artifact on class-like outputs; None: not judged.
        equal: Least share of equal elements of an integer or bool output of a quantized artifact. Those of a
            float32 artifact must all be equal.
        float_type: The coarsest that the model computes in.
    """

    multiple: float = 10.0
    atol: Mapping[str, float] = field(default_factory=dict)
    rtol: Mapping[str, float] = field(default_factory=dict)
    sqnr_db: Mapping[str, float] = field(default_factory=dict)
    top1_agreement: float | None = None
    equal: float = 0.9
    float_type: str = "float32"

    @property
    def eps(self) -> float:
        return EPS[self.float_type]

    def tolerance(self, output: str) -> tuple[float, float] | None:
        """(atol, rtol) of an output, if any was given."""
        atol = self.atol.get(output, self.atol.get(EVERY))
        rtol = self.rtol.get(output, self.rtol.get(EVERY))
        return None if atol is None and rtol is None else (atol or 0.0, rtol or 0.0)

    def least_sqnr_db(self, scheme: str) -> float:
        return self.sqnr_db.get(scheme, self.sqnr_db.get(EVERY, SCHEMES[scheme].least_sqnr_db or 0.0))


@dataclass(frozen=True)
class _Ruling:
    """A rule on an output, and what came of it.

    Attributes:
        limit: The rule in words.
        bound: The most noise floors, or the least SQNR, in it.
        breach: What broke it, where the figure that has the bound doesn't show it.
        remedy: What to do where it doesn't hold.
    """

    limit: str
    passed: bool
    bound: float | None = None
    breach: str = ""
    remedy: str = ""


def judge(
    name: str,
    actual: Sequence[Array],
    truth: Sequence[Array],
    *,
    scheme: str,
    rules: Rules,
    dtype: str,
    floor: Floor | None = None,
    previous: Sequence[Array] | None = None,
    whose: Whose = "ours",
) -> OutputParity:
    """Compare an output with the truth (and the hop before) over all samples, and apply the rule for it.

    Args:
        actual: One array a sample.
        truth: One array a sample.
        dtype: The dtype that the output must have.
        floor: None for outputs that aren't float.
        previous: The output of the hop before, if it has one of the same shape.
        whose: Who made the file, for the remedy.
    """
    found = _problems(actual, truth, dtype)
    result = OutputParity(
        name=name,
        dtype=actual[0].dtype.name,
        shapes=[list(s) for s in dict.fromkeys(a.shape for a in actual)],
        problems=found,
    )
    if found:
        return result.model_copy(
            update={
                "passed": False,
                "limit": "same shape, dtype, NaN and Inf",
                "breach": "not comparable",
                "remedy": remedies.OTHER_MODEL,
            }
        )
    by_floor = SCHEMES[scheme].by_floor
    kept = Fidelity(errors=metrics.compare(actual, truth)) if by_floor else fidelity(truth, actual)
    errors = kept.errors
    is_float = actual[0].dtype.kind == "f"
    floor = floor if is_float and by_floor else None
    ruling = _apply(name, errors, actual, truth, scheme, rules, floor, whose)
    if not all(group.settled or _loud_enough(group.errors, scheme, rules) for group in kept.groups):
        ruling = replace(ruling, limit=f"{ruling.limit} in each group of channels", passed=False)
    return result.model_copy(
        update={
            "vs_truth": errors,
            "groups": kept.groups,
            "saturated": kept.saturated,
            "dead": kept.dead,
            "vs_previous": _own_share(actual, previous),
            "noise_ratio": floor.ratio(errors) if floor else None,
            "noise_floor": floor.rms if floor else None,
            "limit": ruling.limit,
            "bound": ruling.bound,
            "passed": ruling.passed,
            "breach": "" if ruling.passed else ruling.breach,
            "remedy": "" if ruling.passed else ruling.remedy,
            "notes": _notes(actual, kept),
        }
    )


def missing(name: str) -> OutputParity:
    """An output that the hop doesn't have."""
    return _no_numbers(name, "the output is missing", "exists", "missing")


def unknown(name: str) -> OutputParity:
    """An output that the truth doesn't have."""
    return _no_numbers(name, "the truth has no such output", "the outputs of the truth", "unknown output")


def _no_numbers(name: str, problem: str, limit: str, breach: str) -> OutputParity:
    return OutputParity(
        name=name,
        dtype="",
        shapes=[],
        problems=[problem],
        limit=limit,
        passed=False,
        breach=breach,
        remedy=remedies.OTHER_MODEL,
    )


def failed_at(result: OutputParity, edges: Sequence[EdgeError]) -> OutputParity:
    """The result of an output that passes on the samples, and fails at edges."""
    first, *more = [e.edge for e in edges]
    where = f"{first} and {more[0] if len(more) == 1 else f'{len(more)} edges more'}" if more else first
    errors = [e.max_abs for e in edges]
    allowed = None if None in errors else max(e for e in errors if e is not None)
    return result.model_copy(
        update={
            "passed": False,
            "limit": f"{result.limit}, at zeros, ties and extremes too",
            "breach": f"off on {where}",
            "edges": list(edges),
            "remedy": remedies.at_edges(result.name, allowed),
        }
    )


def verdict(outputs: Sequence[OutputParity]) -> tuple[Status, str, str]:
    """Status of a hop, the sentence that says why, and what to do about it."""
    failed = [o for o in outputs if o.passed is False]
    if failed:
        remedy = "; ".join(dict.fromkeys(o.remedy for o in failed if o.remedy))
        return "fail", "; ".join(_sentence(o) for o in failed), remedy
    worst = max(outputs, key=lambda o: o.noise_ratio or 0.0, default=None)
    return "pass", f"{worst.name}: {_measured(worst)}" if worst else "the model has no outputs", ""


def noted(result: OutputParity, *notes: str) -> OutputParity:
    """The result with more notes."""
    return result.model_copy(update={"notes": [*result.notes, *notes]})


_TELLING_SHARE = 1e-3
"""Of values that are clipped: one in a thousand, as quantizers that clip on purpose do, is worth a word."""

_SAID_EDGES = 2
"""Edges whose problems the sentence tells; the record has all."""


def _sentence(output: OutputParity) -> str:
    notes = f" ({'; '.join(output.notes)})" if output.notes else ""
    if output.edges:
        said = "; ".join(f"on {e.edge}: {e.problem}" for e in output.edges[:_SAID_EDGES])
        more = len(output.edges) - _SAID_EDGES
        said += f"; and on {more} edge{'s' if more > 1 else ''} more" if more > 0 else ""
        return f"{output.name}: {said}; the samples themselves pass, at {_measured(output)}{notes}"
    breach = f" ({output.breach})" if output.breach and not output.problems else ""
    return f"{output.name}: {_measured(output)}{breach}, and the limit is: {output.limit}{notes}"


def _apply(
    name: str,
    errors: Errors,
    actual: Sequence[Array],
    truth: Sequence[Array],
    scheme: str,
    rules: Rules,
    floor: Floor | None,
    whose: Whose,
) -> _Ruling:
    by_floor = SCHEMES[scheme].by_floor
    if not any(np.isfinite(a).any() for a in actual) and any(a.size for a in actual):
        return _Ruling("some finite element", False, breach="nothing is finite", remedy=remedies.OTHER_MODEL)
    if actual[0].dtype.kind != "f":
        least = 1.0 if by_floor else rules.equal
        limit = "all elements equal" if least == 1 else f"at least {least:.6g} of the elements equal"
        remedy = remedies.OTHER_MODEL if by_floor else remedies.too_noisy(SCHEMES[scheme], whose)
        return _Ruling(limit, (errors.equal or 0.0) >= least, remedy=remedy)
    tolerance = rules.tolerance(name) if by_floor else None
    if tolerance is not None:
        atol, rtol = tolerance
        outside = sum(metrics.outside(a, b, atol=atol, rtol=rtol) for a, b in zip(actual, truth, strict=True))
        limit, breach = f"every element within {atol:g} + {rtol:g}·|truth|", "outside the tolerance"
        return _Ruling(limit, outside == 0, None, breach, remedies.outside_tolerance(name, errors.max_abs))
    if floor is not None:
        limit, holds = f"at most {rules.multiple:g}× the noise floor", floor.ratio(errors) <= rules.multiple
        return _Ruling(limit, holds, rules.multiple, remedy=remedies.above_floor(name, errors.max_abs, whose))
    return _quantized(errors, scheme, rules, whose)


def _quantized(errors: Errors, scheme: str, rules: Rules, whose: Whose) -> _Ruling:
    least, agreement = rules.least_sqnr_db(scheme), errors.top1_agreement
    ruling = _Ruling(
        f"SQNR at least {least:g} dB",
        _loud_enough(errors, scheme, rules),
        least,
        remedy=remedies.too_noisy(SCHEMES[scheme], whose),
    )
    if rules.top1_agreement is None or agreement is None:
        return ruling
    limit = f"{ruling.limit} and top-1 agreement at least {rules.top1_agreement:g}"
    if agreement >= rules.top1_agreement:
        return replace(ruling, limit=limit)
    return replace(ruling, limit=limit, passed=False, breach=f"top-1 agreement {agreement:.4g}")


def _loud_enough(errors: Errors, scheme: str, rules: Rules) -> bool:
    return errors.exact or (errors.sqnr_db is not None and errors.sqnr_db >= rules.least_sqnr_db(scheme))


def _problems(actual: Sequence[Array], truth: Sequence[Array], dtype: str) -> list[str]:
    """What differs before any number, over all samples; each sentence once."""
    found = [problem for a, b in zip(actual, truth, strict=True) for problem in metrics.problems(a, b, dtype=dtype)]
    return list(dict.fromkeys(found))


def _own_share(actual: Sequence[Array], previous: Sequence[Array] | None) -> Errors | None:
    if previous is None or any(a.shape != b.shape for a, b in zip(actual, previous, strict=True)):
        return None
    return metrics.compare(actual, previous)


def _notes(actual: Sequence[Array], kept: Fidelity) -> list[str]:
    notes = []
    if actual[0].dtype.kind == "f" and not all(np.isfinite(a).all() for a in actual):
        notes.append("NaN or infinity in the same places as in the truth; numbers are of the finite elements")
    if kept.dead:
        notes.append(f"{100 * kept.dead:.3g} % of its channels never move")
    if kept.saturated >= _TELLING_SHARE:
        notes.append(f"{100 * kept.saturated:.3g} % of the truth's values lie beyond what it reaches")
    return notes


def _measured(output: OutputParity) -> str:
    told = output.quanta is not None and "quant" not in output.breach
    return f"{_figure(output)}, {quanta(output.quanta or 0.0)} off" if told else _figure(output)


def _figure(output: OutputParity) -> str:
    errors = output.vs_truth
    if errors is None:
        return "; ".join(output.problems)
    if output.noise_ratio is not None:
        return f"{output.noise_ratio:.3g}× the noise floor (largest error {errors.max_abs:.3g})"
    if errors.exact:
        return "exact"
    if errors.sqnr_db is None:
        return f"{errors.equal or 0:.4g} of the elements equal, largest error {errors.max_abs:.3g}"
    worst = output.worst_group
    if worst is not None and worst.errors.quality_db < errors.sqnr_db:
        return f"SQNR {worst.errors.quality_db:.3g} dB in channels {worst.channels} ({errors.sqnr_db:.3g} dB in all)"
    agreement = "" if errors.top1_agreement is None else f", top-1 agreement {errors.top1_agreement:.4g}"
    return f"SQNR {errors.sqnr_db:.3g} dB{agreement}"
