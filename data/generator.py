"""Samples that the user's own code yields: a function or iterable of ``file.py:name``, or one that Python hands over.

Each sample is waited for so long and no longer. The code runs in a thread of its own meanwhile, which nothing can end:
one that hangs is left behind, and ends with the process.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from ..artifact import TensorSpec
from ..errors import BadInput
from ..source.factories import importable, user_code
from .fitting import Fitting
from .samples import Kept, Sample, Samples

T = TypeVar("T")

_END = object()
_REMEDY = "correct the function; it takes no arguments and yields samples"
_RAISED = "the generator of samples raised"
_IN_WORKER = "in DataLoader worker process"
"""What PyTorch says of an exception in a worker, before the traceback that it had there."""


class GeneratedSamples(Samples):
    """The first samples that code yields. They are read once, and kept.

    Args:
        items: What yields them, see `Fitting.samples`; closed afterwards.
        most: Where to stop; None: at the end.
    """

    consumed = True

    def __init__(self, items: Iterator[object], inputs: Sequence[TensorSpec], where: str, most: int | None) -> None:
        self.where = where
        self._kept = Kept()
        fitting = Fitting(inputs, where)
        with contextlib.closing(items):  # type: ignore[type-var]  # ours are generators
            for index, item in enumerate(items):
                for sample in fitting.samples(item, index, len(self._kept)):
                    self._kept.add(sample)
                if most is not None and len(self._kept) >= most:
                    break
        labels = {self._kept[i].label for i in range(len(self._kept))}
        self.classes = frozenset(label for label in labels if label is not None)

    def __len__(self) -> int:
        return len(self._kept)

    def read(self, indices: Sequence[int]) -> Iterator[Sample]:
        return (self._kept[i] for i in indices)


def of_file(file: Path, name: str, timeout_s: float) -> Iterator[object]:
    """What ``name`` in the Python file yields; it may be a function that returns an iterable, or an iterable.

    Args:
        timeout_s: Seconds that importing the file, calling the function, and each sample may take.

    Raises:
        BadInput: there is no such file or name, it can't be iterated, it hangs, or it raises; with the file and line.
        NotAvailable: a package that the file imports is missing.
    """
    if not file.is_file():
        raise BadInput("there is no such Python file", where=str(file), remedy="check the path")
    spec = f"{file}:{name}"
    with importable(file.resolve().parent), _watched(spec, timeout_s) as watched:
        with user_code(spec, "importing the generator of samples failed", _REMEDY):
            module = watched("importing the file", lambda: _load(file))
        if not hasattr(module, name):
            own = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
            raise BadInput(
                f"there is no {name!r} in it",
                where=str(file),
                details=[f"it has {candidate}" for candidate in own],
                remedy="write file.py:name with a function that yields samples",
            )
        found = getattr(module, name)
        if callable(found):
            _refuse_arguments(found, spec)
            with user_code(spec, _RAISED, _REMEDY):
                found = watched(f"calling {name}()", found)
        yield from _iterated(found, spec, watched)


def of_iterable(source: object, spec: str, timeout_s: float) -> Iterator[object]:
    """What an iterable gives. Its iterator is closed at the end, and the workers of a PyTorch ``DataLoader`` with it.

    Raises:
        BadInput: it can't be iterated, it hangs or raises.
    """
    with _watched(spec, timeout_s) as watched:
        yield from _iterated(source, spec, watched)


def _iterated(source: object, spec: str, watched: _Watched) -> Iterator[object]:
    if not isinstance(source, Iterable):
        raise BadInput(f"it gives {type(source).__name__}, which can't be iterated", where=spec, remedy=_REMEDY)
    with _raising(spec):
        items = watched("starting it", lambda: iter(source))
    hangs = False
    try:
        for number in range(sys.maxsize):
            hangs = True
            with _raising(spec):
                item = watched(f"sample {number}", lambda: next(items, _END))
            hangs = False
            if item is _END:
                return
            yield item
    finally:
        if not hangs:
            with _raising(spec):
                watched("closing it", lambda: _close(items, source))


def _close(items: object, source: object) -> None:
    """End a generator, or a DataLoader's worker processes; those that persist are the loader's, not its iterator's."""
    for end in ("close", "_shutdown_workers"):
        if callable(found := getattr(items, end, None)):
            found()
    if getattr(source, "_iterator", None) is items and items is not None:
        source._iterator = None  # type: ignore[attr-defined]  # else its next iteration would ask workers that are gone


@contextlib.contextmanager
def _watched(spec: str, timeout_s: float) -> Iterator[_Watched]:
    watched = _Watched(spec, timeout_s)
    try:
        yield watched
    finally:
        watched.end()


class _Watched:
    """A thread that runs the user's code, one call after the other, each for so many seconds at most."""

    def __init__(self, spec: str, timeout_s: float) -> None:
        self._spec, self._timeout_s = spec, timeout_s
        self._calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[object, BaseException | None]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True, name=f"edgeworthy {spec}").start()

    def __call__(self, what: str, call: Callable[[], T]) -> T:
        """The value of ``call``.

        Raises:
            BadInput: it takes too long.
            BaseException: what it raises.
        """
        self._calls.put(call)
        try:
            value, error = self._answers.get(timeout=self._timeout_s)
        except queue.Empty:
            raise BadInput(
                f"the generator of samples hangs: {what} took more than {self._timeout_s:g} s",
                where=self._spec,
                remedy="mend it; or, if it needs that long, allow it: --data-timeout SECONDS, or timeout_s in [data]",
            ) from None
        if error is not None:
            raise error
        return value  # type: ignore[return-value]

    def end(self) -> None:
        """The thread ends after what it does now."""
        self._calls.put(None)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._answers.put((call(), None))
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                self._answers.put((None, error))


@contextlib.contextmanager
def _raising(spec: str) -> Iterator[None]:
    """What the user's code raises, and in a DataLoader's worker too, by the last line of its traceback."""
    with user_code(spec, _RAISED, _REMEDY):
        try:
            yield
        except Exception as error:
            lines = [line.rstrip() for line in str(error).splitlines() if line.strip()]
            if not lines or _IN_WORKER not in lines[0]:
                raise
            frames = [line.strip() for line in lines if line.lstrip().startswith('File "')]
            place = frames[-1].removeprefix('File "').replace('", line ', ":").partition(",")[0] if frames else spec
            raise BadInput(f"{_RAISED}: {lines[-1]}", where=place, details=lines[-5:-1], remedy=_REMEDY) from error


def _refuse_arguments(function: Callable[..., object], spec: str) -> None:
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise BadInput(f"it can't be called: {error}", where=spec, remedy=_REMEDY) from error
    except ValueError:  # some built-in callables have no signature
        return


def _load(file: Path) -> ModuleType:
    # A name of its own, so that a file called numpy.py doesn't stand in for the package.
    name = f"_edgeworthy_calibration_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python module")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
