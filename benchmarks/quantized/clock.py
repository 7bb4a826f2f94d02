"""How long the files of one model take, in turns with the float one.

In a process of its own, on a machine that does nothing else: ``python -m … FEEDS.npz ANSWER.json FLOAT FILE…``.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from edgeworthy.files import write_text
from edgeworthy.quantize.running import Model

from .feeds import read_feeds

_TURN_S, _TURNS, _LEAST = 0.03, 31, 7
_SECONDS = 90.0
"""After so long a model's turns end, where each of its files had the least."""


def clock(files: Sequence[Path], feeds: Path) -> list[float]:
    """Median nanoseconds of one inference with each file; every other turn goes from the last file to the first."""
    models = [Model(path.read_bytes()) for path in files]
    feed = read_feeds(feeds)[0]
    for model in models:
        model.run(feed)
    times: list[list[float]] = [[] for _ in models]
    begin = time.perf_counter()
    for turn in range(_TURNS):
        if turn >= _LEAST and time.perf_counter() - begin > _SECONDS:
            break
        order = range(len(models))
        for index in reversed(order) if turn % 2 else order:
            times[index].append(models[index].nanoseconds(_TURN_S))
    return [statistics.median(of_one) for of_one in times]


def main() -> None:
    feeds, answer, *files = map(Path, sys.argv[1:])
    write_text(answer, json.dumps(clock(files, feeds)))


if __name__ == "__main__":
    main()
