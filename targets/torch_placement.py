"""Where the operators of PyTorch's eager mode compute: a module may make or move tensors as it likes.

It imports PyTorch, and is imported where that is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..artifact import Receipt


class DeviceWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes each operator that gives a tensor, and the device of what it gives, while it is entered.

    Attributes:
        ran: (operator, such as ``aten.relu.default``; kind of device) in order.
        makes: Whether a tensor was made out of none: then the default device decides where it is.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ran: list[tuple[str, str]] = []
        self.makes = False

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        self.makes |= func is torch.ops.aten.lift_fresh.default or not _tensors((args, kwargs))
        self.ran += [(str(func), kind) for kind in dict.fromkeys(t.device.type for t in _tensors(result))]
        return result


def _tensors(tree: object) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def receipt(ran: Sequence[tuple[str, str]], device: str, *, place: str, precision: str) -> Receipt:
    """The receipt of an inference on ``device``; what gave a tensor elsewhere is a fall-back.

    Args:
        place: What the device is called.
        precision: What it computes in.
    """
    elsewhere = [(operator, kind) for operator, kind in ran if kind != device]
    others = Counter(kind.upper() for _, kind in elsewhere)
    here = [place] if len(elsewhere) < len(ran) else []
    return Receipt(
        asked=device.upper(),
        ran=" and ".join([*here, *others]) or "nothing",
        nodes=len(ran),
        delegated=len(ran) - len(elsewhere),
        precision=precision,
        fallback=tuple(f"{operator} on {kind}" for operator, kind in elsewhere),
    )
