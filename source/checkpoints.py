"""Which of the entries of a checkpoint is the model's state dict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from .torch_names import require_torch

if TYPE_CHECKING:
    import torch

_NESTED = ("state_dict", "model_state_dict", "model", "ema_state_dict")
"""Keys under which training scripts keep the weights in a checkpoint."""

_SHOWN = 12


def chosen(loaded: object, path: Path, key: str | None) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The state dict of a checkpoint that ``key`` names, else the usual one; and a note if there was a choice.

    Args:
        loaded: What the file holds.
        path: The file, for messages.
        key: Dotted, as in ``trainer.ema``.

    Raises:
        BadInput: it has no such key, or several state dicts and nothing says which; or none at all.
    """
    found = dict(_state_dicts(loaded))
    if key is None:
        key = _usual_key(loaded, found)
    if key is None and len(found) > 1:
        raise BadInput(
            f"the checkpoint holds {len(found)} state dicts, and nothing says which to take",
            where=str(path),
            details=some(list(found)),
            remedy=f"name one, as in --weights-key {next(iter(found))}",
        )
    if key is None or key not in found:
        raise _no_state_dict(loaded, path, key, list(found))
    others = [repr(name) for name in found if name != key]
    if not others:
        return found[key], []
    return found[key], [f"{path.name}: the weights under {key!r} were taken, not those under {', '.join(others)}"]


def some(lines: list[str]) -> list[str]:
    """The first few lines, and how many more there are."""
    more = len(lines) - _SHOWN
    return [*lines[:_SHOWN], f"… and {more} more"] if more > 0 else lines


def _usual_key(loaded: object, found: Mapping[str, object]) -> str | None:
    """Where training scripts keep the weights, or the only place there is; None if there is no telling."""
    usual = _usual_place(loaded)[0]
    return usual if usual in found else next(iter(found)) if len(found) == 1 and not usual else None


def _usual_place(loaded: object) -> tuple[str, object]:
    """The dotted key of the innermost mapping under usual keys, and what is there."""
    place: list[str] = []
    for name in _NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
            place.append(name)
    return ".".join(place), loaded


def _state_dicts(value: object, place: str = "") -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """Dotted key → state dict, of all that a checkpoint holds; the whole of it under the empty key."""
    torch = require_torch()
    if not isinstance(value, Mapping) or (place and not value):
        return
    if not all(isinstance(key, str) for key in value):
        return  # an optimizer numbers its parameters
    if all(isinstance(v, torch.Tensor) for v in value.values()):
        yield place, dict(value)
        return
    for key, inner in value.items():
        yield from _state_dicts(inner, f"{place}.{key}" if place else key)


def _no_state_dict(loaded: object, path: Path, key: str | None, found: list[str]) -> BadInput:
    torch = require_torch()
    inner = _usual_place(loaded)[1]
    if key is not None and key != _usual_place(loaded)[0]:
        return BadInput(
            f"the checkpoint has no state dict under {key!r}",
            where=str(path),
            details=[f"it has one under {name!r}" for name in found if name],
            remedy="give --weights-key one of these" if any(found) else "leave --weights-key out",
        )
    details = []
    what = f"holds a {type(inner).__name__}, not a state dict"
    if isinstance(inner, Mapping):
        details = some([str(k) for k, v in inner.items() if not isinstance(v, torch.Tensor)])
        what = "is no plain state dict: some entries are no tensors"
    remedy = "save it with torch.save(model.state_dict(), FILE)"
    return BadInput(f"the checkpoint {what}", where=str(path), details=details, remedy=remedy)
