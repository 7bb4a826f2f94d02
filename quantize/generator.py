"""Calibration samples from a function of the user, ``file.py:generator``."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType

from ..errors import BadInput
from ..source.factories import importable, user_code

_END = object()
_REMEDY = "correct the function; it takes no arguments and yields samples"


def iterate(file: Path, name: str) -> Iterator[object]:
    """What ``name`` in the Python file yields; it may be a function that returns an iterable, or an iterable.

    Raises:
        BadInput: there is no such file or name, it can't be iterated, or it raises; with the file and line.
        NotAvailable: a package that the file imports is missing.
    """
    if not file.is_file():
        raise BadInput("there is no such Python file", where=str(file), remedy="check the path")
    spec = f"{file}:{name}"
    with importable(file.resolve().parent):
        with user_code(spec, "importing the calibration generator failed", _REMEDY):
            module = _load(file)
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
        with user_code(spec, "the calibration generator raised", _REMEDY):
            source = found() if callable(found) else found
        if not isinstance(source, Iterable):
            raise BadInput(f"it gives {type(source).__name__}, which can't be iterated", where=spec, remedy=_REMEDY)
        items = iter(source)
        while True:
            with user_code(spec, "the calibration generator raised", _REMEDY):
                item = next(items, _END)
            if item is _END:
                return
            yield item


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
