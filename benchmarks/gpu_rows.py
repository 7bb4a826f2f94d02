"""Rows of the GPU benchmark, as one process measures them for a runtime: served by ``workers``, see ``gpu``.

The runtime is imported once, however many of its rows there are; model, samples and truth are in a file.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeworthy.artifact import Artifact, Floats
from edgeworthy.display import milliseconds
from edgeworthy.numerics.comparison import compare
from edgeworthy.numerics.floor import Floor
from edgeworthy.schemes import FLOAT16, FLOAT32
from edgeworthy.targets import find
from edgeworthy.validate.judge import Rules, judge
from edgeworthy.validate.results import OutputParity
from edgeworthy.validate.runners import receipt_result

SAMPLES = 4
_STORED = "model.pickle"
_WARM_UP = 5


@dataclass(frozen=True)
class Stored:
    """What all rows are measured on: kind of file → the model, samples, and what float64 makes of them."""

    artifacts: Mapping[str, Artifact]
    feeds: list[dict[str, Any]]
    truth: list[dict[str, Floats]]
    floors: Mapping[str, Floor]


@dataclass(frozen=True)
class Row:
    """A line of the table; ``why`` says what is wrong with it, or is empty."""

    target: str
    cells: tuple[str, ...]
    why: str = ""


def start(tell: Callable[[str], None]) -> Mapping[str, Callable[..., Any]]:
    return {"prepare": prepare, "bring": bring, "row": row}


def prepare(source: str, folder: Path, kinds: list[str]) -> None:
    """Convert a model to ``kinds`` of files, and compute the truth and its noise floor on the CPU."""
    import edgeworthy
    from edgeworthy.pipeline.subjects import to_artifact
    from edgeworthy.source.load import load_source
    from edgeworthy.source.variations import random_samples
    from edgeworthy.targets.pytorch import PyTorch, PyTorchModel, snapshot

    report = edgeworthy.run(source, folder, stages=("export", "convert"), convert={"to": kinds})
    artifacts: dict[str, Artifact] = {
        a.kind: to_artifact(a, folder) for a in report.artifacts if a.scheme == FLOAT32.name
    }
    loaded = load_source(source)
    if loaded.module is None:
        raise ValueError(f"{source} is no PyTorch model")
    weights = snapshot(loaded.module, folder / "weights.pt")
    module = PyTorchModel.of(loaded.spec, loaded.inputs, artifacts["onnx"].outputs, weights=weights)
    feeds = random_samples(loaded.examples, SAMPLES)
    truth, single = ([PyTorch(float64=wide).load(module).run(f) for f in feeds] for wide in (True, False))
    floors = {
        name: Floor.of([t[name] for t in truth], compare([s[name] for s in single], [t[name] for t in truth]))
        for name, array in truth[0].items()
        if array.dtype.kind == "f"
    }
    stored = Stored({**artifacts, "pytorch": module}, feeds, truth, floors)
    (folder / _STORED).write_bytes(pickle.dumps(stored))


def bring(name: str) -> None:
    """Import a target's runtime; NotAvailable when it isn't here."""
    target = find(name)
    target.make(**target.options).version()


def row(name: str, folder: Path, seconds: float) -> Row:
    """Parity, receipt and median latency of a target."""
    stored: Stored = pickle.loads((folder / _STORED).read_bytes())
    target = find(name)
    session = target.make(**target.options).load(stored.artifacts[target.kind])
    outputs = [session.run(feeds) for feeds in stored.feeds]
    scheme = FLOAT16 if target.rounds else FLOAT32
    verdicts = [_verdict(name, outputs, stored, scheme.name) for name in stored.truth[0]]
    call = session.prepare(stored.feeds[0])
    times: list[int] = []
    for _ in range(_WARM_UP):
        call()
    until = time.perf_counter() + seconds
    while not times or time.perf_counter() < until:
        begin = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - begin)
    receipt = receipt_result(session.receipt)
    ratios = [v.noise_ratio for v in verdicts if v.noise_ratio is not None]
    decibels = [v.vs_truth.quality_db for v in verdicts if v.vs_truth]
    told = f"{max(ratios):.2g}× noise" if ratios else f"{min(decibels):.1f} dB" if decibels else "not comparable"
    ran = f"{receipt.said}, {receipt.precision}"
    broken = [f"{v.name}: {told}, {v.breach or v.limit}" for v in verdicts if not v.passed]
    where = session.receipt.measured or target.measured
    cells = (f"`{name}`", target.title, told, ran, milliseconds(float(np.median(times)) / 1e6), where)
    return Row(name, cells, "; ".join(broken))


def _verdict(name: str, outputs: list[dict[str, Any]], stored: Stored, scheme: str) -> OutputParity:
    actual, truth = ([o[name] for o in side] for side in (outputs, stored.truth))
    dtype = "float32" if truth[0].dtype.kind == "f" else truth[0].dtype.name
    return judge(name, actual, truth, scheme=scheme, rules=Rules(), dtype=dtype, floor=stored.floors.get(name))
