"""``quantize --list``: every scheme with what it needs, how large it is and who runs it fast."""

from __future__ import annotations

from ..schemes import QUANTIZED
from .console import Console
from .terminal import TextColumn


def show(console: Console) -> None:
    """The table, or one JSON document."""
    if console.as_json:
        console.json(
            [
                {
                    "name": s.name,
                    "alias": s.alias or None,
                    "summary": s.summary,
                    "needs_calibration": s.needs_calibration,
                    "size": s.size,
                    "fast": s.fast,
                    "default": s.default,
                }
                for s in QUANTIZED
            ]
        )
        return
    console.table(
        ("scheme", "needs", TextColumn("weights", right=True), TextColumn("fast on", rank=1), TextColumn("", rank=2)),
        [
            (
                f"{s.alias} = {s.name}" if s.alias else s.name,
                "data" if s.needs_calibration else "–",
                f"{s.size:.1%}",
                s.fast,
                s.summary,
            )
            for s in QUANTIZED
        ],
    )
    console.say("Weights are relative to float32. More may stay float: --device, --exclude and --only say what.")
