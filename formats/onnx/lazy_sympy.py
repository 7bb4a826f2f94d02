"""Keeps SymPy out of conversions that don't need it.

onnx_ir imports it for arithmetic on symbolic dimensions, which few models ask for: 32 MB and 0.2 s of CPU that a
conversion of MobileNetV2 would spend on nothing. ``importlib.util.LazyLoader`` can't help: an ``import`` statement that
finds its module looks at ``__spec__``, which makes it load.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_DEFERRED = ("sympy", "onnx_ir._symbolic_shapes")


class _Deferred(ModuleType):
    """Stands for a module until somebody asks for something in it."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def defer() -> None:
    """Let SymPy, and the one module of onnx_ir that uses it at once, load on first use.

    Changes nothing once onnx_ir is imported.
    """
    if "onnx_ir" in sys.modules:
        return
    for name in _DEFERRED:
        if name not in sys.modules:
            module = _Deferred(name)
            module.__spec__ = find_spec(name) if "." not in name else None
            sys.modules[name] = module
