"""What a pass promises: the properties it needs, establishes and breaks, and the order that follows from them.

A pipeline is a sequence of passes and of :class:`Repeat` groups. :func:`check_order` proves, without a model, that
every pass finds what it requires; :meth:`Property.violation` says whether a model at hand really has a property.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import InternalFault
from ..graph.rewriter import Refusal, Rewriter

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Property:
    """Something that, once established, holds of a model to the end of the pipeline or until a pass breaks it.

    Attributes:
        name: The property, as a sentence.
        violation: The first place where a model lacks it, or None.
    """

    name: str
    violation: Callable[[ir.Model], str | None] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Pass:
    """One ONNX → ONNX rewrite. Running it twice changes nothing the second time.

    Attributes:
        name: The name of its file.
        run: Does the work, through a :class:`Rewriter`.
        requires: Properties a model must have when the pass starts.
        ensures: Properties it has when the pass ends.
        breaks: Properties it may lack when the pass ends.
        must_follow: Passes that, when they are in the same pipeline, come before this one.
    """

    name: str
    run: Callable[[Rewriter], None]
    requires: frozenset[Property] = frozenset()
    ensures: frozenset[Property] = frozenset()
    breaks: frozenset[Property] = frozenset()
    must_follow: tuple[str, ...] = ()


@dataclass(frozen=True)
class Repeat:
    """Passes that feed each other: run in rounds until a round changes nothing.

    After that last round all that its passes ensure holds, even what some of them may break.
    """

    passes: tuple[Pass, ...]


PassPipeline = Sequence[Pass | Repeat]


WHOLE_MODEL = "the whole model"
"""Stands for the name of a node in a refusal that concerns none in particular."""


@dataclass
class PassReport:
    """What a pass did to a model; a pass that ran several times has one report.

    Attributes:
        name: The pass.
        changed: Changes it made (nodes rewritten or removed, values whose type or shape became known).
        seconds: Wall-clock time.
        refusals: Nodes left alone, each with a reason.
        operators: Operator → how many more of it there are since, or fewer.
    """

    name: str
    changed: int = 0
    seconds: float = 0.0
    refusals: list[Refusal] = field(default_factory=list)
    operators: dict[str, int] = field(default_factory=dict)


def passes_of(pipeline: PassPipeline) -> Iterator[Pass]:
    """Every pass of a pipeline, groups flattened, in order."""
    for step in pipeline:
        yield from step.passes if isinstance(step, Repeat) else (step,)


def check_order(pipeline: PassPipeline) -> None:
    """Hold a pipeline against the contracts of its passes.

    Raises:
        InternalFault: a pass comes before one it must follow, or requires what no earlier pass leaves intact.
    """
    names = {p.name for p in passes_of(pipeline)}
    seen: set[str] = set()
    held: set[Property] = set()
    for step in pipeline:
        members = step.passes if isinstance(step, Repeat) else (step,)
        for member in members:
            early = [name for name in member.must_follow if name in names - seen]
            missing = sorted(p.name for p in member.requires - held)
            if early or missing:
                raise InternalFault(
                    f"the pass {member.name} is at the wrong place in the pipeline",
                    where="edgeworthy.convert.passes",
                    details=[f"it must follow {name}" for name in early] + [f"it requires: {p}" for p in missing],
                )
            seen.add(member.name)
            held = (held - member.breaks) | member.ensures
        if isinstance(step, Repeat):
            held |= {p for member in members for p in member.ensures}
