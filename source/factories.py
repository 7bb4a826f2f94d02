"""Modules that the user's own Python code makes: ``file.py:factory`` and ``pkg.module:factory``."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BadInput, EdgeworthyError, NotAvailable
from ..files import absent
from .companions import broken_import
from .torch_names import FILE_MODULE, require_torch, user_location

if TYPE_CHECKING:
    import torch


def from_python(spec: str, seed: int) -> tuple[torch.nn.Module, object]:
    """Import ``file.py:factory`` or ``pkg.module:factory`` and call the factory.

    The folder of the file (or the working folder) is importable meanwhile. Random weights are drawn from ``seed``.

    Returns:
        The module, and its ``example_inputs`` (the factory's, where the module has none; None without).

    Raises:
        BadInput: there is no such file, module or factory; it raises; or it returns no ``nn.Module``.
        NotAvailable: the code imports a package that isn't installed.
    """
    place, _, name = spec.rpartition(":")
    is_file = place.endswith(".py")
    if not place or not name:
        raise BadInput(
            "the source names no factory",
            where=spec,
            remedy="write file.py:factory or package.module:factory, with the name of a function or class",
        )
    with importable(Path(place).resolve().parent if is_file else Path.cwd()):
        with seeded(seed), user_code(spec, "importing the code failed"):
            home = _import_file(Path(place)) if is_file else _import_module(place, spec)
        factory = _attribute(home, name, spec)
        module = factory if _is_module(factory) else _call(factory, spec, seed)
        examples = getattr(module, "example_inputs", None)
        if examples is None:
            examples = getattr(factory, "example_inputs", None)
    return module, examples


def function(spec: str, what: str) -> Callable[..., Any]:
    """The function that ``file.py:name`` names; what it raises when called is ``BadInput`` with its file and line.

    Args:
        what: It is, for errors.

    Raises:
        BadInput: there is no such file or name, it is no function, or importing the file raises.
        NotAvailable: a package that the file imports isn't installed.
    """
    place, _, name = spec.rpartition(":")
    folder, remedy = Path(place).resolve().parent, f"correct {what}"
    with importable(folder), user_code(spec, f"importing {what} failed", remedy):
        home = _import_file(Path(place))
    named = getattr(home, name, None)
    if not callable(named):
        raise BadInput(
            f"there is no function {name!r} in it",
            where=spec,
            details=[f"it has {candidate}" for candidate in _factories(home)],
            remedy="write file.py:name with the name of a function",
        )

    def call(*given: object) -> object:
        with importable(folder), user_code(spec, f"{what} raised", remedy):
            return named(*given)

    return call


@contextmanager
def user_code(
    spec: str, what: str, remedy: str = "correct the model's code; it must run by itself first"
) -> Iterator[None]:
    """Whatever the user's code raises becomes BadInput with its own file and line.

    Raises:
        BadInput: the code raised.
        NotAvailable: a package that it imports is missing, or doesn't go with the installed PyTorch.
    """
    try:
        yield
    except EdgeworthyError:
        raise
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        remedy = f"install what brings the module {package!r}; often that is pip install {package}"
        raise NotAvailable(
            f"{what}: {error}",
            where=user_location(error) or spec,
            remedy=remedy if package and "pip install" not in str(error) else None,
        ) from error
    except (Exception, SystemExit) as error:
        if (broken := broken_import(error, spec)) is not None:
            raise broken from error
        message = str(error).strip() or "no message"
        raise BadInput(
            f"{what}: {type(error).__name__}: {message.splitlines()[0]}",
            where=user_location(error) or spec,
            details=message.splitlines()[1:8],
            remedy=remedy,
        ) from error


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers of PyTorch, NumPy and Python start from ``seed``, and go on afterwards as before."""
    torch = require_torch()
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise absent(path, "check the path before the colon")
    # A name of its own: a file called onnx.py or test.py must not stand in for the package of that name.
    name = f"{FILE_MODULE}{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise BadInput("this file is no Python module", where=str(path), remedy="name a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class up by its module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_module(name: str, spec: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise BadInput(
                f"there is no Python module {error.name!r}",
                where=spec,
                remedy="check the name; modules are looked for in the working folder and the installed packages",
            ) from error
        raise


def _attribute(home: ModuleType, name: str, spec: str) -> Any:
    target: Any = home
    for part in name.split("."):
        try:
            target = getattr(target, part)
        except AttributeError as error:
            raise BadInput(
                f"there is no {name!r} in it",
                where=spec,
                details=[f"it has {candidate}" for candidate in _factories(home)],
                remedy="name a function or class that makes the model",
            ) from error
    return target


def _factories(home: ModuleType) -> list[str]:
    own = [(n, v) for n, v in vars(home).items() if getattr(v, "__module__", None) == home.__name__]
    return [n for n, v in own if callable(v) and not n.startswith("_")]


def _is_module(value: object) -> bool:
    return isinstance(value, require_torch().nn.Module)


def _call(factory: Callable[[], object], spec: str, seed: int) -> torch.nn.Module:
    if not callable(factory):
        raise BadInput(
            f"it is of type {type(factory).__name__}, not a function or class", where=spec, remedy="name a factory"
        )
    if needed := _required(factory):
        raise BadInput(
            f"the factory needs arguments: {', '.join(needed)}",
            where=spec,
            remedy="write a function without required arguments that makes the model, and name that",
        )
    with seeded(seed), user_code(spec, "the factory raised"):
        module = factory()
    if not _is_module(module):
        raise BadInput(
            f"the factory returned {type(module).__name__!r}, not a torch.nn.Module",
            where=spec,
            remedy="return the model itself",
        )
    return module  # type: ignore[return-value]  # checked by _is_module


def _required(factory: Callable[..., object]) -> list[str]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # some built-in callables have no signature
        return []
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in variadic]


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """``folder`` comes first on ``sys.path``, and last from then on, for what ``forward`` imports when it runs."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
