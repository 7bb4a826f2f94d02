"""Runners that compute with numpy in this process: exact control over errors, failures and times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from edgeworthy.artifact import Receipt
from edgeworthy.errors import EdgeworthyError, RuntimeFailure
from edgeworthy.validate.runners import Subject

Function = Callable[[dict[str, Any]], dict[str, Any]]


class NumpyRunner:
    """Runs a function; ``median_ns`` and ``seed`` give times from a known distribution."""

    load_ms = 1.5
    peak_rss_bytes = 50_000_000
    model_rss_bytes = 1_000_000

    def __init__(
        self,
        function: Function,
        median_ns: float = 1e6,
        seed: int = 0,
        die_after: int = -1,
        death: EdgeworthyError | None = None,
        kernels: str = "",
    ) -> None:
        self.function = function
        self.median_ns = median_ns
        self.random = np.random.default_rng(seed)
        self.first_ms: float | None = None
        self.die_after = die_after
        self.death = death or RuntimeFailure("crashed with SIGSEGV in time")
        self.calls = 0
        self.kernels = kernels

    @property
    def receipt(self) -> Receipt:
        return Receipt(asked="CPU", ran="CPU", notes=("numpy",), kernels=self.kernels)

    def run(self, feeds: Any) -> dict[str, Any]:
        return self.function(dict(feeds))

    def time(self, feeds: Any, repeats: int) -> list[int]:
        self.calls += 1
        if self.calls == self.die_after:
            raise self.death
        self.first_ms = self.first_ms or self.median_ns / 1e6
        return [int(t) for t in self.median_ns * self.random.lognormal(0, 0.02, repeats)]


def subject(
    name: str,
    function: Function,
    *,
    runtime: str = "numpy",
    error: EdgeworthyError | None = None,
    runner: NumpyRunner | None = None,
    **options: Any,
) -> Subject:
    """A subject that runs ``function``, or that fails to open with ``error``."""

    @contextmanager
    def open_runner() -> Iterator[NumpyRunner]:
        if error is not None:
            raise error
        yield runner or NumpyRunner(function)

    return Subject(name, runtime, open_runner, **options)
