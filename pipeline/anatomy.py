"""What ``inspect`` shows of a TFLite file's inside."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModuleShare(_Row):
    """What a module and those below it are in the file.

    Attributes:
        module: Its path; empty for the whole model.
        depth: 0 for that.
        ops: Operator → how many.
        weight_bytes: What is stored for it; what several modules share counts for the first.
        flops: Additions and multiplications of one run, bodies of loops once; of a dynamic extent, 1 counts.
    """

    module: str
    depth: int
    ops: dict[str, int]
    weight_bytes: int
    flops: int


class TransposeFound(_Row):
    """A TRANSPOSE, what it moves, and why it is there; ``instead``: what takes it away, where that is known."""

    tensor: str
    bytes: int
    axes: list[int]
    why: str
    instead: str = ""
    module: str = ""
    source: str = ""


class LeftNode(_Row):
    """An operator that XNNPACK left to TFLite's own kernels; ``why`` and ``instead`` are empty where unknown."""

    op: str
    tensor: str
    module: str = ""
    source: str = ""
    why: str = ""
    instead: str = ""


class Island(_Row):
    """What runs between two partitions, or before or behind all.

    Attributes:
        partitions: How many there would be if XNNPACK took these; None where that can't be said.
    """

    nodes: list[LeftNode]
    partitions: int | None


class Delegated(_Row):
    """What LiteRT's interpreter says that XNNPACK took.

    Attributes:
        runtime: What was asked.
        failure: Why it doesn't run the file.
        islands: What XNNPACK left, by part.
    """

    runtime: str
    nodes: int = 0
    delegated: int = 0
    partitions: int = 0
    failure: str = ""
    islands: list[Island] = []


class Anatomy(_Row):
    """All of it.

    Attributes:
        modules_from: Where the modules are known from; empty where they aren't.
        extents_vary: Whether the file has dynamic extents, each of which counts as 1 in bytes and FLOPs.
    """

    modules: list[ModuleShare]
    modules_from: str
    transposed: list[TransposeFound]
    xnnpack: Delegated
    extents_vary: bool = False
