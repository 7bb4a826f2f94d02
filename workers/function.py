"""Serves one function of somebody else's, in a folder that it works in. The standard library is all that it needs.

The function is ``module:function`` or ``path/of/a.py:function``. It gets the path of a file and that of the folder, and
returns the path of what it made there.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import resource
from pathlib import Path
from types import ModuleType

from .serve import Commands, Tell


def start(tell: Tell, room: int = resource.RLIM_INFINITY) -> Commands:
    """What the process serves: one call. No file that it writes may have more bytes than ``room``."""
    now, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    limits = [limit for limit in (room, now) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_FSIZE, (min(limits, default=resource.RLIM_INFINITY), most))
    return {"convert": _convert}


def _convert(spec: str, model: str, folder: str) -> str:
    home, _, name = spec.rpartition(":")
    function = getattr(_module(home), name)
    os.chdir(folder)
    made = function(Path(model), Path(folder))
    if not isinstance(made, (str, os.PathLike)):
        raise TypeError(f"{spec} returned {type(made).__name__!r}, not the path of a file")
    return str(Path(folder, made))


def _module(home: str) -> ModuleType:
    """The module of this name, or that of this file, which must not stand in for a package of the same name."""
    if not home.endswith(".py"):
        return importlib.import_module(home)
    spec = importlib.util.spec_from_file_location(f"edgeworthy_{Path(home).stem}", home)
    if spec is None or spec.loader is None:
        raise ImportError(f"{home} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
