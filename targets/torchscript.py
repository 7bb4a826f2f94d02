"""PyTorch modules as TorchScript: scripted or traced, and frozen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..artifact import Receipt
from ..errors import CheckFailed
from .info import TF32, Setting, TargetInfo, one_of
from .pytorch import INSTALL_CUDA, ModuleSession, PyTorch, PyTorchModel

if TYPE_CHECKING:
    from ..artifact import Feeds
    from ..source.load import Source

CaptureMethod = Literal["script", "trace"]

_LINES = 10
"""The last lines of a compiler's message show the model's code."""

_FUSED = ("prim::TensorExprGroup", "prim::FusionGroup", "prim::CudaFusionGroup")


class TorchScript(PyTorch):
    """TorchScript.

    Args:
        method: ``script`` compiles the module's code, ``trace`` records what it does with its example inputs.
        device: See ``PyTorch``.
        tf32: See ``PyTorch``.
    """

    name = "torchscript"

    def __init__(
        self, *, method: CaptureMethod = "script", device: Literal["cpu", "cuda"] = "cpu", tf32: bool = False
    ) -> None:
        super().__init__(device=device, tf32=tf32)
        self.method = method

    def session(self, model: PyTorchModel, source: Source) -> ModuleSession:
        """Compile and freeze the module; a source that is TorchScript already is frozen as it is.

        Raises:
            CheckFailed: TorchScript can't take the module.
        """
        import torch
        from torch.jit._trace import TracerWarning

        module: Any = source.module
        notes = []
        if not isinstance(module, torch.jit.ScriptModule):
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                module = self._made(module, source)
            notes = [f"{w.category.__name__}: {w.message}" for w in seen if w.category is TracerWarning]
        return _Session(self, model, source, torch.jit.freeze(module.eval()), notes)

    def _made(self, module: Any, source: Source) -> Any:
        import torch
        import torch.jit._trace

        trace: Any = torch.jit._trace.trace
        try:
            if self.method == "script":
                # A property would be compiled with the module, and this one is read by edgeworthy alone.
                ignored = [*getattr(module, "__jit_ignored_attributes__", ()), "example_inputs"]
                module.__jit_ignored_attributes__ = ignored
                return torch.jit.script(module)
            args, kwargs = source.arguments(source.examples)
            moved = {name: t.to(self.device) for name, t in kwargs.items()}
            with torch.inference_mode():
                if not moved:
                    return trace(module, tuple(t.to(self.device) for t in args))
                named = dict(zip(source.positional, (t.to(self.device) for t in args), strict=True))
                return trace(module, example_kwarg_inputs=named | moved)
        except Exception as error:  # whatever the compiler or the module's own code raises
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise CheckFailed(
                f"torch.jit.{self.method} can't take this module: {type(error).__name__}",
                where=source.spec,
                details=[*lines[:1], *lines[1:][-_LINES:]],
                remedy="try torchscript,method=trace" if self.method == "script" else "use torch-compile",
            ) from error


class _Session(ModuleSession):
    def __init__(self, target: PyTorch, model: PyTorchModel, source: Source, script: Any, notes: list[str]) -> None:
        super().__init__(target, model, source, script)
        self._script = script
        self._notes = notes
        self._called = False

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        self._called = True
        return super().prepare(feeds)

    @property
    def receipt(self) -> Receipt:
        """Operators of the frozen graph; what it leaves to Python is a fall-back."""
        kinds = [(node.kind(), node) for node in _nodes(self._script.graph)]
        operators = [kind for kind, _ in kinds if kind.startswith("aten::")]
        python = [node for kind, node in kinds if kind == "prim::PythonOp"]
        notes = list(self._notes)
        if groups := self._groups():
            notes.append(f"{groups} groups of operators fused")
        return Receipt(
            asked="TorchScript",
            ran=f"TorchScript{' and Python' if python else ''}{self._target.on_device}",
            nodes=len(operators) + len(python),
            delegated=len(operators),
            precision=self._target.precision,
            notes=tuple(notes),
            fallback=tuple(f"{node.kind()} {node.pyname()}" for node in python),
        )

    def _groups(self) -> int:
        """Groups that the profiling executor has fused until now."""
        import torch

        if not self._called:
            return 0
        return sum(node.kind() in _FUSED for node in _nodes(torch._C._last_executed_optimized_graph()))


def _nodes(graph: Any) -> Iterator[Any]:
    """All nodes of a graph or block and of the blocks in them."""
    for node in graph.nodes():
        yield node
        for block in node.blocks():
            yield from _nodes(block)


_METHOD = {
    "method": Setting(
        "compile the module's code, or record what it does with its example; default: script",
        one_of(*get_args(CaptureMethod)),
        "|".join(get_args(CaptureMethod)),
    )
}

TARGETS = (
    TargetInfo(
        "torchscript",
        title="TorchScript",
        summary="PyTorch as frozen TorchScript, on the CPU",
        kind=TorchScript.kind,
        module="torch",
        distributions=("torch",),
        install="pip install 'edgeworthy[torch]'",
        make=TorchScript,
        aliases=("torchscript:cpu",),
        settings=_METHOD,
    ),
    TargetInfo(
        "torchscript:cuda",
        title="TorchScript CUDA",
        summary="PyTorch as frozen TorchScript, on an NVIDIA GPU",
        kind=TorchScript.kind,
        module="torch",
        distributions=("torch",),
        install=INSTALL_CUDA,
        make=TorchScript,
        options={"device": "cuda"},
        device="cuda",
        probe=True,
        settings=_METHOD | TF32,
    ),
)
