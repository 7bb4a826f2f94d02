"""Who wants to know how far a pipeline is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """Is told what a pipeline does. Threads may have stages of their own at the same time."""

    def stage(self, name: str, what: str = "") -> AbstractContextManager[None]:
        """A stage begins; it ends with the context. ``what`` it works on."""
        ...

    def step(self, what: str, done: int, total: int) -> None:
        """Something within the stage begins."""
        ...

    def taken_over(self, seconds: float) -> None:
        """The stage has its result from an earlier run, in which it took so long."""
        ...

    def warn(self, text: str) -> None:
        """Something that should be known before the work is done; the report has it too."""
        ...


class Silent:
    """Progress that nobody looks at."""

    @contextmanager
    def stage(self, name: str, what: str = "") -> Iterator[None]:
        yield

    def step(self, what: str, done: int, total: int) -> None:
        pass

    def taken_over(self, seconds: float) -> None:
        pass

    def warn(self, text: str) -> None:
        pass
