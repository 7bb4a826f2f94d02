"""What TFLite's benchmark_model prints, from TensorFlow 2.4 to LiteRT 2: flags, times, memory, nodes, errors.

The tool tells no version: what it can do is what its ``--help`` lists. What newer ones print beside the old is read
where it is there: percentiles, ``INFO:`` before a line, in the interpreter's state the delegate of every node. Without
that there is what the runtime logs when it applies a delegate. LiteRT's tool of the same name, for its CompiledModel,
has a summary of its own (litert/tools/benchmark_litert_model.h).
Sources: tensorflow/lite/tools/benchmark (since 2024 google-ai-edge/LiteRT, tflite/tools/benchmark), benchmark_model.cc,
benchmark_tflite_model.cc; tools/command_line_flags.cc; optional_debug_tools.cc; tsl/util/stats_calculator.h.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_FLAG = re.compile(r"^\s*--(\w+)=", re.M)
_NUMBER = r"([-+.\deE]+|-?nan)"
_COUNT = re.compile(
    r"count=(?P<count>\d+)(?: first=(?P<first>\S+))? curr=(?P<curr>\S+)(?: \(all same\))?"
    r"(?: min=(?P<min>\S+) max=(?P<max>\S+) avg=(?P<avg>\S+) std=\S+)?"
    r"(?: p5=(?P<p5>\S+) median=(?P<median>\S+) p95=(?P<p95>\S+))?"
)
_SUMMARY = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, .*Inference \(avg\): |Model initialization: +{_NUMBER} ms"
)
_MEMORY = re.compile(
    rf"(?:Peak memory footprint|Memory footprint delta[^:]*?) \(MB\): init=\S+ overall={_NUMBER}"
    rf"|Overall footprint: +{_NUMBER} MB"
)
_NODE = re.compile(
    r"^Node\s+(?P<index>\d+) Operator (?:Builtin Code\s+\d+|Custom Name) (?P<op>\S+)"
    r"(?: \((?:not delegated|delegated by node (?P<by>\d+))\)(?P<own>))?",
    re.M,
)
_REPLACED = re.compile(r"Replacing (?P<taken>\d+) (?:out of \d+ )?node\(s\) with delegate \((?P<name>[^)]*)\)")
_ERROR = re.compile(r"^(?:ERROR: |E tflite\s*: |F tflite\s*: |FATAL: |Failed |error: ).*", re.M)


@dataclass(frozen=True)
class Times:
    """Microseconds of the inferences of one process, as the tool sums them up.

    Attributes:
        first: The first of them.
        quantiles: Share → microseconds, from the least to the most.
    """

    count: int
    first: float
    mean: float
    quantiles: Mapping[float, float]

    def spread(self, count: int) -> list[int]:
        """So many nanoseconds: the first, and the rest by the quantiles, straight between those that are told."""
        if count == 1:
            return [round(self.mean * 1000)]
        shares = np.interp(np.linspace(0, 1, count - 1), list(self.quantiles), list(self.quantiles.values()))
        return [round(self.first * 1000), *(round(us * 1000) for us in shares)]


@dataclass(frozen=True)
class DelegatedNodes:
    """Nodes of the main graph, and which of them one delegate took.

    Attributes:
        partitions: Kernels that stand for the nodes that it took; None where only the log tells.
        left: Indices of the nodes that it didn't take; None where only the log tells.
    """

    nodes: int
    taken: int
    partitions: int | None = None
    left: tuple[int, ...] | None = None


def flags(text: str) -> frozenset[str]:
    """The flags that ``--help`` lists."""
    return frozenset(_FLAG.findall(text))


def times(text: str) -> Times | None:
    """Of the regular runs; None where it didn't get to their end."""
    lines = list(_COUNT.finditer(text))
    if not lines or not _SUMMARY.search(text):
        return None
    found = lines[-1]
    told = {name: float(value) for name, value in found.groupdict().items() if value is not None and name != "count"}
    same = told["curr"]
    least, most, mean = told.get("min", same), told.get("max", same), told.get("avg", same)
    inner = {0.05: "p5", 0.5: "median", 0.95: "p95"}
    middle = {share: told[name] for share, name in inner.items() if name in told} or {0.5: mean}
    return Times(int(found["count"]), told.get("first", same), mean, {0.0: least, **middle, 1.0: most})


def initialized_us(text: str) -> float:
    """Microseconds from the start of loading to the allocated tensors; 0 where it isn't told."""
    found = _SUMMARY.search(text)
    if found is None:
        return 0.0
    return float(found[1]) if found[1] else float(found[2]) * 1000


def footprint(text: str) -> int:
    """Bytes of memory that the tool grew by, at most; 0 where it isn't told."""
    found = _MEMORY.search(text)
    return int(float(found[1] or found[2]) * (1 << 20)) if found else 0


def delegation(text: str, delegate: str, nodes: int) -> DelegatedNodes | None:
    """What a delegate of which the name has this word in it took, of so many nodes; None where nothing tells."""
    state = text.partition("Subgraph-0 ")[2].partition("Subgraph-0 dump has completed")[0]
    found = list(_NODE.finditer(state))
    owned = [match for match in found if match["own"] is not None]
    if owned:
        kernels = {m["index"] for m in found if m["own"] is None and delegate in m["op"].lower()}
        left = tuple(int(match["index"]) for match in owned if match["by"] not in kernels)
        return DelegatedNodes(len(owned), len(owned) - len(left), len(kernels), left)
    taken = logged(text, delegate)
    return None if taken is None else DelegatedNodes(nodes, taken)


def logged(text: str, delegate: str) -> int | None:
    """How many nodes it took as the runtime logged it: the main graph comes first, its subgraphs after it."""
    found = (match for match in _REPLACED.finditer(text) if delegate in match["name"].lower())
    return next((int(match["taken"]) for match in found), None)


def errors(text: str) -> Sequence[str]:
    """The lines that say what went wrong; the last ones that there are if none does."""
    found = [line.strip() for line in _ERROR.findall(text)]
    return found[-10:] or [line.strip() for line in text.splitlines() if line.strip()][-5:]
