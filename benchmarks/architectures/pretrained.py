"""Models of the ``transformers`` package, made from their configurations alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from .architecture import Picked


def configured(
    model: str,
    inputs: str,
    outputs: str,
    options: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
    *,
    part: str = "",
    method: str = "__call__",
    given: Mapping[str, Any] | None = None,
) -> Callable[[], nn.Module]:
    """What makes a model of a class of transformers.

    Args:
        model: The class.
        inputs: Its arguments, in order.
        outputs: Attributes of what it gives that are taken.
        options: Of its configuration, or what makes them.
        part: The submodule that is taken of it; empty: all.
        method: What is called of that.
        given: Arguments besides the inputs.
    """

    def make() -> nn.Module:
        chosen = options() if callable(options) else options
        return Picked(network(model, chosen).get_submodule(part), inputs, outputs, given or {}, method)

    return make


def network(model: str, options: Mapping[str, Any]) -> Any:
    """A model of a class of transformers, in eval mode."""
    import transformers

    kind = getattr(transformers, model)
    return kind(kind.config_class(**options)).eval()
