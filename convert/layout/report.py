"""What the layout step did."""

from __future__ import annotations

from dataclasses import dataclass, field

from .layouts import Perm


@dataclass(frozen=True)
class Inserted:
    """A Transpose that the step put in: the value it transposes, and how many bytes it moves."""

    value: str
    nbytes: int
    perm: Perm


@dataclass
class LayoutReport:
    """Where a model became channels-last.

    Attributes:
        inserted: Transposes that the step put in and that remain.
        remaining: Transposes in the graph now, with those that the model had.
        avoided: Transposes saved against wrapping every operator that needs channels-last in a pair of its own.
        channels_last: Nodes that read or give channels-last values.
        natural: The other nodes.
        permutations: Name of each graph input and output → its permutation: axis ``i`` of the tensor is axis
            ``perm[i]`` of the model's; empty if it stayed as it was.
        layouts: The same for every value that is channels-last now.
    """

    inserted: tuple[Inserted, ...] = ()
    remaining: int = 0
    avoided: int = 0
    channels_last: int = 0
    natural: int = 0
    permutations: dict[str, Perm] = field(default_factory=dict)
    layouts: dict[str, Perm] = field(default_factory=dict)
