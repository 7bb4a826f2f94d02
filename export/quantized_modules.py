"""Modules as PyTorch's quantizers make them: in which form one comes, and which forms no exporter takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import BadInput

if TYPE_CHECKING:
    import torch


def is_packed(module: torch.nn.Module) -> bool:
    """Whether a module computes on integers that are packed for PyTorch's own kernels (``convert_fx``, ``convert``)."""
    homes = {type(part).__module__ for part in module.modules()}
    return any(home.startswith("torch.ao.nn.") and "quantized" in home and "reference" not in home for home in homes)


def refuse_unfinished(module: torch.nn.Module, where: str) -> None:
    """Refuse what a quantizer leaves halfway.

    Raises:
        BadInput: the module is in torch.ao's reference form, or it still looks for its scales.
    """
    kinds = dict.fromkeys(type(part) for part in module.modules())
    if reference := [kind for kind in kinds if kind.__module__.startswith("torch.ao.nn.quantized.reference")]:
        raise BadInput(
            "the module is in torch.ao's reference form, which none of PyTorch's exporters takes",
            where=where,
            details=[f"it has a {kind.__module__}.{kind.__qualname__}" for kind in reference],
            remedy="make it with convert_fx in place of convert_to_reference_fx: the scales are the same",
        )
    if watching := list(dict.fromkeys(_watching(module))):
        raise BadInput(
            "the module is prepared for quantization and not converted: its scales are still being looked for",
            where=where,
            details=[f"it has a {name}" for name in watching],
            remedy="convert it: convert_pt2e(module) of torchao, or convert_fx(module) of torch.ao",
        )


def _watching(module: torch.nn.Module) -> Iterator[str]:
    """What looks for scales. By name: torchao has such classes of its own."""
    for part in module.modules():
        bases = {base.__name__ for base in type(part).__mro__}
        enabled = getattr(part, "observer_enabled", None)
        if "FakeQuantizeBase" in bases:
            looks = enabled is None or bool(enabled.any())
        else:
            looks = "ObserverBase" in bases and not _held(part, module)
        if looks:
            yield f"{type(part).__module__}.{type(part).__qualname__}"


def _held(observer: torch.nn.Module, module: torch.nn.Module) -> bool:
    """Whether an observer is part of a FakeQuantize, which says whether it watches."""
    return any(getattr(part, "activation_post_process", None) is observer for part in module.modules())
