"""Operators of an exported program that a package registers: found in the file before PyTorch reads it.

Without the package ``torch.export.load`` says that the file is damaged.
"""

from __future__ import annotations

import importlib
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import NotAvailable


@dataclass(frozen=True)
class _Registered:
    """Who registers a namespace of operators: ``modules``, of which one is enough, and how to get one of them."""

    modules: tuple[str, ...]
    install: str


_TORCHAO = 'pip install "torchao>=0.17"'
_NAMESPACES = {
    # PyTorch has had these itself for as long as torch.ao is there.
    "quantized_decomposed": _Registered(
        ("torch.ao.quantization.fx._decomposed", "torchao.quantization.pt2e.quantize_pt2e"), _TORCHAO
    ),
    "torchao": _Registered(("torchao",), _TORCHAO),
    "torchvision": _Registered(("torchvision",), "pip install torchvision"),
}
_OPERATOR = re.compile(rb'"torch\.ops\.(\w+)\.(\w+)')
_PROGRAM = ".json"


def register(path: Path) -> None:
    """Import what registers the operators of the exported program ``path``.

    Raises:
        NotAvailable: nothing that is installed does.
    """
    import torch

    for namespace in sorted(_asked(path)):
        known = _NAMESPACES.get(namespace)
        imported = known is not None and any(map(_imports, known.modules))
        if imported or any(name.startswith(f"{namespace}::") for name in torch._C._dispatch_get_all_op_names()):
            continue
        raise NotAvailable(
            f"the program uses operators of {known.modules[-1].split('.')[0]} ({namespace}.*), which is not installed"
            if known
            else f"the program uses operators ({namespace}.*) that no imported package registers",
            where=str(path),
            remedy=known.install
            if known
            else "give a factory as the source, file.py:make, that imports the package and loads the program",
        )


def _asked(path: Path) -> set[str]:
    """The namespaces of the operators in a file."""
    found: set[str] = set()
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(_PROGRAM):
                found |= {m[1].decode() for m in _OPERATOR.finditer(archive.read(name))}
    return found - {"aten", "prim", "prims", "higher_order"}


def _imports(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True
