"""PyTorch modules compiled by torch.compile: Dynamo captures graphs, Inductor makes kernels of them."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

from ..artifact import Receipt
from .info import TF32, TargetInfo
from .pytorch import INSTALL_CUDA, ModuleSession, PyTorch, PyTorchModel

if TYPE_CHECKING:
    import torch

    from ..artifact import Feeds
    from ..source.load import Source


class TorchCompile(PyTorch):
    """torch.compile in its default mode. It compiles in the first inference, and again for other shapes."""

    name = "torch-compile"

    def session(self, model: PyTorchModel, source: Source) -> ModuleSession:
        """Nothing is compiled yet."""
        import torch
        import torch._dynamo.config
        import torch._inductor.config

        torch._inductor.config.compile_threads = 1  # no pool of processes that outlive this one
        torch._dynamo.config.fail_on_recompile_limit_hit = True  # it would run eagerly, and not say so
        graphs = Graphs()
        function = torch.compile(source.module, backend=graphs)
        return _Session(self, model, source, function, graphs)


@dataclass
class Graphs:
    """Inductor as a backend of Dynamo that keeps count of what it is given.

    Attributes:
        operations: Operations in each graph, in the order of compilation.
        breaks: Why a graph ended early, and the line of the model.
    """

    operations: list[int] = field(default_factory=list)
    breaks: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, graph: torch.fx.GraphModule, examples: Sequence[torch.Tensor]) -> Callable[..., Any]:
        from torch._inductor.compile_fx import compile_fx

        calls = ("call_function", "call_method", "call_module")
        self.operations.append(sum(node.op in calls for node in graph.graph.nodes))
        ended: Any = graph.compile_subgraph_reason
        if ended is not None and ended.graph_break:
            place = f" at {ended.user_stack[-1].filename}:{ended.user_stack[-1].lineno}" if ended.user_stack else ""
            self.breaks.append((_title(ended.reason), place))
        compiled: Callable[..., Any] = compile_fx(graph, list(examples))  # type: ignore[assignment]
        return compiled

    def ended(self, counted: Mapping[str, int]) -> tuple[str, ...]:
        """Every graph break: those that ended a graph with their line, and those before the first operation.

        Args:
            counted: Reason → how often, of all breaks, as Dynamo counts them.
        """
        known = Counter(reason for reason, _ in self.breaks)
        others = Counter({_title(reason): count for reason, count in counted.items()}) - known
        return (*(f"{reason}{place}" for reason, place in self.breaks), *others.elements())


class _Session(ModuleSession):
    def __init__(
        self, target: PyTorch, model: PyTorchModel, source: Source, function: Callable[..., object], graphs: Graphs
    ) -> None:
        super().__init__(target, model, source, function)
        self._graphs = graphs
        self._first: Receipt | None = None

    @property
    def receipt(self) -> Receipt:
        """What the first inference compiled, and how often others compiled again."""
        if self._first is None:
            return Receipt(asked="Inductor", ran="nothing yet", precision=self._target.precision)
        again = len(self._graphs.operations) - (self._first.partitions or 0)
        notes = [f"{again} graphs compiled again for other shapes"] if again else []
        return Receipt(**(vars(self._first) | {"notes": (*self._first.notes, *notes)}))

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        call = super().prepare(feeds)

        def watched() -> object:
            result = call()
            if self._first is None:
                self._first = self._compiled()
            return result

        return watched if self._first is None else call

    def _compiled(self) -> Receipt:
        from torch._dynamo.utils import calculate_time_spent, counters
        from torch._inductor import metrics

        breaks = self._graphs.ended(counters["graph_break"])
        operations, graphs = sum(self._graphs.operations), len(self._graphs.operations)
        seconds, cached = calculate_time_spent().get("entire_frame_compile", 0.0), counters["inductor"]
        notes = [
            f"compiled within the first inference, in {seconds:.1f} s",
            f"{cached['fxgraph_cache_hit']} of {graphs} graphs came out of Inductor's cache",
            f"{metrics.ir_nodes_pre_fusion} operations of Inductor's fused into {metrics.generated_kernel_count} "
            f"kernels, and {cached['extern_calls']} calls of libraries",
        ]
        ran = ("Inductor" if graphs else "eager") + self._target.on_device
        return Receipt(
            asked="Inductor",
            ran=f"{ran} and eager" if graphs and breaks else ran,
            nodes=operations + len(breaks),
            delegated=operations,
            partitions=graphs,
            precision=self._target.precision,
            notes=tuple(notes),
            fallback=tuple(f"graph break: {reason}" for reason in breaks),
        )


def _title(reason: str) -> str:
    """The first line of what Dynamo says, with its explanation."""
    first, *more = (line.strip() for line in reason.splitlines() if line.strip())
    explained = [line.removeprefix("Explanation: ") for line in more if line.startswith("Explanation: ")]
    return ": ".join([first, *explained[:1]])


def _installed() -> str | None:
    """PyTorch's version, if the C++ compiler that Inductor looks for is there too."""
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        return None
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return None


TARGETS = (
    TargetInfo(
        "torch-compile",
        title="torch.compile",
        summary="PyTorch, compiled by Inductor, on the CPU",
        kind=TorchCompile.kind,
        module="",
        distributions=("torch",),
        install="pip install 'edgeworthy[torch]', and a C++ compiler: apt-get install g++, or set CXX",
        make=TorchCompile,
        aliases=("torch-compile:cpu",),
        installed=_installed,
    ),
    TargetInfo(
        "torch-compile:cuda",
        title="torch.compile CUDA",
        summary="PyTorch, compiled by Inductor, on an NVIDIA GPU",
        kind=TorchCompile.kind,
        module="",
        distributions=("torch",),
        install=f"{INSTALL_CUDA} (with Triton), and a C++ compiler: apt-get install g++, or set CXX",
        make=TorchCompile,
        options={"device": "cuda"},
        device="cuda",
        probe=True,
        settings=TF32,
        installed=_installed,
    ),
)
