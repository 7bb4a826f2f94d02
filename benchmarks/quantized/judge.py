"""A quantized file beside the float one: what it computes, and how large it is.

In a process of its own: ``python -m … FLOAT FILE FEEDS.npz ANSWER.json`` writes what it found.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from edgeworthy.files import write_text
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.numerics.fidelity import fidelity
from edgeworthy.quantize.running import Model

from .feeds import read_feeds

_CAP_DB = 200.0
"""What stands for an exact result, which has no ratio of signal to noise."""


@dataclass(frozen=True)
class Judgement:
    """How a file does.

    Attributes:
        sqnr_db: Of the worst output as a whole.
        worst_db: Of the worst group of channels of any output; what a file is judged by.
        agreement: Share of the samples with the same top-1 class, of the worst output that has classes.
        size: Bytes of the file ÷ those of the float file.
        convolutional: Whether most of the float file's constants are read by convolutions.
        float_mb: Size of the float file, in 10⁶ bytes.
    """

    sqnr_db: float
    worst_db: float
    agreement: float | None
    size: float
    convolutional: bool
    float_mb: float


def judge(floating: Path, file: Path, feeds: Path) -> Judgement:
    """Hold ``file`` against ``floating`` on the feeds."""
    truth, quantized = Model(floating.read_bytes()), Model(file.read_bytes())
    results = [(truth.run(feed), quantized.run(feed)) for feed in read_feeds(feeds)]
    found = [fidelity([t[name] for t, _ in results], [q[name] for _, q in results]) for name in results[0][0]]
    agreements = [f.agreement for f in found if f.agreement is not None]
    return Judgement(
        sqnr_db=min(_CAP_DB, max(-_CAP_DB, min(f.sqnr_db for f in found))),
        worst_db=min(_CAP_DB, max(-_CAP_DB, min(f.worst_group_db for f in found))),
        agreement=min(agreements, default=None),
        size=file.stat().st_size / floating.stat().st_size,
        convolutional=convolutional(floating),
        float_mb=floating.stat().st_size / 1e6,
    )


def convolutional(path: Path) -> bool:
    """Whether most of the constants' bytes are read by convolutions."""
    model = fb.read(fb.load(path))
    sizes: Counter[bool] = Counter()
    for _, graph, op in fb.operators(model):
        values = [fb.values(model, t) for t in fb.tensors(graph, op.inputs) if fb.is_constant(model, t)]
        sizes["CONV" in fb.op_name(model, op)] += sum(v.nbytes for v in values if v is not None)
    return sizes[True] > sizes[False]


def main() -> None:
    floating, file, feeds, answer = map(Path, sys.argv[1:5])
    write_text(answer, json.dumps(asdict(judge(floating, file, feeds))))


if __name__ == "__main__":
    main()
