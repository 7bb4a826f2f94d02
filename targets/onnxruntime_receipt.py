"""Which nodes ran on which execution provider: ONNX Runtime's profile of an inference, read."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..artifact import Receipt
from .onnxruntime_providers import CPU

_COPIES = ("MemcpyFromHost", "MemcpyToHost")
"""Nodes that ONNX Runtime puts between providers of two memories."""


@dataclass(frozen=True)
class Ran:
    """A node that ran: operator, name and provider."""

    op: str
    name: str
    provider: str


class Profile:
    """The profile of a session's first inference. Its file has no name once the session is there.

    Args:
        options: The session's, which are told to profile.
    """

    def __init__(self, options: Any) -> None:
        self._folder = tempfile.TemporaryDirectory()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self._folder.name) / "profile")
        # Read in `assigned`; versions before 1.24 know neither.
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")

    def opened(self) -> None:
        """Once the session is made: what a crash leaves is a file without a name, which goes with the process."""
        (file,) = Path(self._folder.name).iterdir()
        self._file = file.open(encoding="utf-8")
        self._folder.cleanup()

    def end(self, session: Any) -> list[Ran]:
        """Stop profiling; the nodes that ran until now, in order, each once."""
        session.end_profiling()
        with self._file:
            return ran(json.load(self._file))


def ran(events: Iterable[Mapping[str, Any]]) -> list[Ran]:
    """The nodes of a profile's events (Chrome's trace format), in order; a node of a loop's body is one."""
    suffix = "_kernel_time"
    found: dict[tuple[str, str], Ran] = {}
    for event in events:
        name, about = event["name"], event.get("args", {})
        if event.get("cat") != "Node" or not name.endswith(suffix) or "provider" not in about:
            continue
        node = Ran(about["op_name"], name.removesuffix(suffix), about["provider"])
        found.setdefault((node.name, about.get("node_index", "")), node)
    return list(found.values())


def assigned(session: Any) -> dict[str, list[int]]:
    """Provider → nodes in each subgraph that it took; empty before ONNX Runtime 1.24, which doesn't tell.

    What a provider compiles runs as one node: a subgraph of several tells how many it stands for.
    """
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return {}
    taken: dict[str, list[int]] = {}
    for subgraph in session.get_provider_graph_assignment_info():
        taken.setdefault(subgraph.ep_name, []).append(len(subgraph.get_nodes()))
    return taken


def receipt(
    asked: str, nodes: Sequence[Ran], subgraphs: Mapping[str, Sequence[int]], *, precision: str, notes: Sequence[str]
) -> Receipt:
    """The receipt of an inference.

    Args:
        asked: The provider that was asked for.
        nodes: What ran.
        subgraphs: See ``assigned``.
        precision: What it computes in.
        notes: Further ones.
    """
    work = [node for node in nodes if node.op not in _COPIES]
    mine = [node for node in work if node.provider == asked]
    compiled = [size for size in subgraphs.get(asked, ()) if size > 1]
    delegated = len(mine) + sum(size - 1 for size in compiled)
    elsewhere = [node for node in work if node.provider != asked]
    counts = Counter(node.provider for node in work)
    told = list(notes)
    before = sum(map(sum, subgraphs.values()))
    if asked == CPU and before > len(work):
        told.append(f"{before} nodes fused into {len(work)} kernels")
    if copies := len(nodes) - len(work):
        told.append(f"{copies} copies between host and device inside the graph")
    if mine and not subgraphs:
        told.append("this version doesn't tell how many nodes a compiled partition stands for: each counts as one")
    return Receipt(
        asked=asked,
        ran=" and ".join(name for name, _ in counts.most_common()) or "nothing",
        nodes=delegated + len(elsewhere),
        delegated=delegated,
        partitions=None if asked == CPU else _runs(work, asked),
        precision=precision,
        notes=tuple(told),
        fallback=tuple(f"{node.op} {node.name} on {node.provider}" for node in elsewhere),
    )


def _runs(nodes: Sequence[Ran], provider: str) -> int:
    """How often execution enters the provider."""
    providers = ["", *(node.provider for node in nodes)]
    return sum(now == provider != before for before, now in pairwise(providers))
