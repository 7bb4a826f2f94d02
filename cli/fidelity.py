"""What ``quantize`` ends with, for people: each file against the float32 file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from ..display import percent, times
from ..errors import FIX
from ..validate.summary import decibels
from .console import Console
from .terminal import TextColumn

if TYPE_CHECKING:
    from ..validate.results import ParityResult, Report

_BAD = ("fail", "error", "skipped")


def fidelity(console: Console, shown: Report, found: ParityResult) -> None:
    """Each output of each quantized file against the float32 file, and each group of its channels.

    A narrow terminal loses first the limits, then sizes, what the samples are (which is said below too), agreement and
    latencies.
    """
    bargains = {q.artifact: q.tradeoff for q in shown.quantization}
    rows: list[tuple[str, ...]] = []
    of = found.samples_are
    for hop in found.hops:
        if hop.status == "reference":
            continue
        gained = bargains.get(hop.artifact)
        ratios = (times(gained.size_ratio), times(gained.latency_ratio)) if gained else ("–", "–")
        if hop.failure:
            rows.append((hop.name, "–", "", "–", "–", *ratios, "", hop.status))
        for number_, out in enumerate(hop.outputs):
            status = "pass" if out.passed else "fail"
            agreed = percent(out.vs_truth.top1_agreement) if out.vs_truth else "–"
            why = out.limit or "; ".join(out.problems)
            first = (hop.name, ratios) if number_ == 0 else ("", ("", ""))
            rows.append((first[0], out.name, of, decibels(out.vs_truth), agreed, *first[1], why, status))
            for group in out.groups:
                judged = "not judged: next to nothing" if group.settled else ""
                low = not group.settled and group.errors.quality_db < (out.bound or -math.inf)
                marked = "fail" if low else ""
                rows.append(("", f"channels {group.channels}", of, decibels(group.errors), "", "", "", judged, marked))
    heads = (("SQNR", 0), ("top-1", 3), ("size", 5), ("latency", 2))
    console.table(
        (
            f"against {found.truth}",
            "output",
            TextColumn("samples", rank=4),
            *(TextColumn(title, right=True, rank=rank) for title, rank in heads),
            TextColumn("limit", rank=6),
            "",
        ),
        rows,
    )
    for loads_on, names in _runtimes(shown).items():
        console.say(f"· {', '.join(names)}: runs on {loads_on}")
    console.say(f"· compared on {found.samples} feeds: {found.inputs}")
    for hop in found.hops:
        if hop.status in _BAD:
            console.say(f"✗ {hop.name}: {hop.failure or hop.reason}")
            fix(console, hop.remedy)
    if found.status == "fail" and accepts(shown):
        console.say("· accepted as asked: the files are below their floor")


def _runtimes(shown: Report) -> dict[str, list[str]]:
    """Oldest runtime → the quantized files that it loads."""
    found: dict[str, list[str]] = {}
    for q in shown.quantization:
        if q.artifact and (artifact := shown.artifact(q.artifact)) and artifact.loads_on:
            found.setdefault(artifact.loads_on, []).append(Path(artifact.path).name)
    return found


def accepts(shown: Report) -> bool:
    """Whether the user takes quantized files below their floor, and that is all that is wrong with them."""
    hops = shown.fidelity.hops if shown.fidelity else []
    failed = [hop for hop in hops if hop.status in ("fail", "error")]
    measured = all(out.vs_truth for hop in failed for out in hop.outputs if out.passed is False)
    return bool(shown.options.get("quantize.accept")) and measured and all(hop.status == "fail" for hop in failed)


def fix(console: Console, remedy: str) -> None:
    if remedy:
        console.say(f"{FIX}{remedy}")
