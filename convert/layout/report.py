"""What the layout step did."""

from __future__ import annotations

from dataclasses import dataclass, field

from .layouts import Perm

OWN = "the model transposes here"
"""Why a Transpose is there that the step didn't put in."""


@dataclass(frozen=True)
class Remaining:
    """A Transpose of the graph as it is laid out.

    Attributes:
        name: Of what it gives.
        value: Of what it transposes.
        nbytes: How many bytes it moves.
        why: Who gives the value in one layout, and who reads it in the other; ``OWN``.
        module: PyTorch module of what gives the value, where known.
        source: PyTorch line of it, where known.
    """

    name: str
    value: str
    nbytes: int
    perm: Perm
    why: str = OWN
    module: str = ""
    source: str = ""


@dataclass
class LayoutReport:
    """Where a model became channels-last.

    Attributes:
        transposes: Those in the graph now, with those that the model had.
        avoided: Transposes saved against wrapping every operator that needs channels-last in a pair of its own.
        channels_last: Nodes that read or give channels-last values.
        natural: The other nodes.
        permutations: Name of each graph input and output → its permutation: axis ``i`` of the tensor is axis
            ``perm[i]`` of the model's; empty if it stayed as it was.
        layouts: The same for every value that is channels-last now.
    """

    transposes: tuple[Remaining, ...] = ()
    avoided: int = 0
    channels_last: int = 0
    natural: int = 0
    permutations: dict[str, Perm] = field(default_factory=dict)
    layouts: dict[str, Perm] = field(default_factory=dict)

    @property
    def inserted(self) -> tuple[Remaining, ...]:
        """Transposes that the step put in and that remain."""
        return tuple(t for t in self.transposes if t.why != OWN)

    @property
    def remaining(self) -> int:
        """How many there are."""
        return len(self.transposes)
