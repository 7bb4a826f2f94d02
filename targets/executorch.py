"""PyTorch modules on ExecuTorch (https://docs.pytorch.org/executorch), the successor of PyTorch Mobile, with XNNPACK.

A module is exported, lowered for XNNPACK and made a program (``.pte``) here, as an app would ship it, and runs on
ExecuTorch's own runtime on this machine's processor.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..artifact import Receipt
from ..errors import CheckFailed, NotAvailable
from . import environments
from .info import TargetInfo
from .pytorch import ModuleSession, PyTorch, PyTorchModel

if TYPE_CHECKING:
    from ..source.load import Source

_PACKAGE = _KIT = "executorch"
_INSTALL = "edgeworthy targets install executorch"
_DELEGATE = "executorch_call_delegate"
_LINES = 10


class ExecuTorch(PyTorch):
    """ExecuTorch's runtime on programs whose operators XNNPACK takes where it can."""

    name = "executorch"

    def version(self) -> str:
        """The installed version; imports the package.

        Raises:
            NotAvailable: PyTorch or ExecuTorch isn't installed, or it has no XNNPACK.
        """
        with _quietly():
            backends = _runtime().backend_registry.registered_backend_names
        super().version()
        if "XnnpackBackend" not in backends:
            raise NotAvailable(f"this ExecuTorch has no XNNPACK; it has {list(backends)}", remedy=_INSTALL)
        return environments.version(_PACKAGE, _KIT) or "unknown"

    def session(self, model: PyTorchModel, source: Source) -> ModuleSession:
        """Make the program of the example's sizes, and load it.

        Raises:
            CheckFailed: PyTorch can't export the module, or ExecuTorch can't lower it.
        """
        return _Session(self, model, source)


class _Session(ModuleSession):
    """A program has fixed sizes: other ones get a program of their own, in their first inference."""

    def __init__(self, target: PyTorch, model: PyTorchModel, source: Source) -> None:
        super().__init__(target, model, source, self._execute)
        self._programs: dict[tuple[object, ...], tuple[Any, _Counts]] = {}
        self._kept: list[object] = []  # programs and their bytes, which a method doesn't keep alive
        args, kwargs = source.arguments(source.examples)
        self._counts = self._program(args, kwargs)[1]

    @property
    def receipt(self) -> Receipt:
        """Operators of the program of the example's sizes; what XNNPACK left runs on portable kernels."""
        taken, left, partitions = self._counts
        return Receipt(
            asked="XNNPACK",
            ran="XNNPACK" if taken else "portable kernels",
            nodes=taken + len(left),
            delegated=taken,
            partitions=partitions,
            fallback=tuple(left),
            notes=(f"{len(self._programs)} programs, one for each set of sizes",) if len(self._programs) > 1 else (),
        )

    def _execute(self, *args: Any, **kwargs: Any) -> Sequence[Any]:
        method, _ = self._program(args, kwargs)
        outputs: Sequence[Any] = method.execute([*args, *kwargs.values()])
        return [output.clone() for output in outputs]  # the next inference writes into the same memory

    def _program(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, _Counts]:
        """The loaded method for these sizes, and what XNNPACK took of it."""
        key = tuple(tuple(t.shape) for t in (*args, *kwargs.values()))
        if key not in self._programs:
            with _quietly():
                self._programs[key] = self._made(tuple(args), kwargs)
        return self._programs[key]

    def _made(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, _Counts]:
        import torch
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        module: Any = self._source.module
        stage = "torch.export can't export this module"
        try:
            exported = torch.export.export(module, args, kwargs)
            stage = "ExecuTorch can't lower this module"
            lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
            counts = _counts(lowered.exported_program().graph_module)  # it is changed by what comes now
            content = lowered.to_executorch().buffer
        except Exception as error:  # whatever the exporter, a partitioner or the module's own code raises
            lines = [line for line in str(error).splitlines() if line.strip()]
            what = f"{stage}: {type(error).__name__}"
            remedy = "rewrite what these lines name, or run the module on another target"
            raise CheckFailed(what, where=self._source.spec, details=lines[:_LINES], remedy=remedy) from error
        program = _runtime().load_program(content)
        self._kept += [program, content]
        return program.load_method("forward"), counts


_Counts = tuple[int, list[str], int]


def _counts(graph: Any) -> _Counts:
    """Operators that XNNPACK took, the others by kind and name, and the partitions."""
    taken, left, partitions = 0, [], 0
    for node in graph.graph.nodes:
        if node.op != "call_function" or node.target.__name__ == "getitem":
            continue
        if node.target.__name__ == _DELEGATE:
            inner = getattr(graph, node.args[0].name).original_module.graph_module
            taken += sum(n.op == "call_function" and n.target.__name__ != "getitem" for n in inner.graph.nodes)
            partitions += 1
        else:
            left.append(f"{node.target.__name__} {node.name}")
    return taken, left, partitions


def _runtime() -> Any:
    environments.borrow(_KIT)
    try:
        from executorch.runtime import Runtime
    except ImportError as error:
        raise NotAvailable(f"{_PACKAGE} can't be used: {error}", remedy=_INSTALL) from error
    return Runtime.get()


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings of ExecuTorch's own imports and passes."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


TARGETS = (
    TargetInfo(
        "executorch",
        title="ExecuTorch",
        summary="the module as an ExecuTorch program, on XNNPACK",
        kind=ExecuTorch.kind,
        module="",
        distributions=(_PACKAGE,),
        install=_INSTALL,
        make=ExecuTorch,
        installed=lambda: environments.version(_PACKAGE, _KIT),
    ),
)
