"""What PyTorch's exporters raise, told in terms of the model's own code."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

from ..errors import BadInput, EdgeworthyError
from ..source.load import Source
from ..source.torch_names import chain, user_location

Exporter = Literal["dynamo", "torchscript"]

BRANCHES = "write that line with torch.where or torch.cond, or make what it depends on a constant (--bind)"
"""What to do about a Python condition on a tensor's values. No exporter helps: one refuses it, and one keeps the side
that the example took."""

_DATA_DEPENDENT = ("a Python condition or size depends on a tensor's values, which a graph can't hold", BRANCHES)
_NO_OPERATOR = ("ONNX has no counterpart of {}", "compute it by other operations, or try --exporter {other}")
_CHANGE = "change that line, or try --exporter {other}"

_KNOWN = {
    "GuardOnDataDependentSymNode": _DATA_DEPENDENT,
    "DataDependentOutputException": _DATA_DEPENDENT,
    "DispatchError": _NO_OPERATOR,
    "UnsupportedOperatorError": _NO_OPERATOR,
}
"""The exporters' own exceptions, by class name: what they mean, and what to do."""

_OPERATOR = re.compile(r"op(?:erator |=)'([\w.:]+)'")
_MADE_STATIC = re.compile(
    r"inferred a static shape of (?P<extent>\d+) for dimension "
    r"inputs\['(?P<name>\w+)'\](\[(?P<position>\d+)\])?\.shape\[(?P<axis>\d+)\]"
)


@cache
def rewrites() -> dict[str, str]:
    """Operator of PyTorch that ONNX lacks → the same of those that it has."""
    return tomllib.loads(Path(__file__).with_name("rewrites.toml").read_text(encoding="utf-8"))


@contextmanager
def explained(source: Source, exporter: Exporter) -> Iterator[None]:
    """What the exporter raises becomes BadInput with the line of the model's code that it stopped at.

    Raises:
        BadInput: the exporter raised.
    """
    try:
        yield
    except EdgeworthyError:
        raise
    except Exception as error:
        for link in chain(error):
            if isinstance(link, KeyboardInterrupt):  # torch.export wraps it like any other
                raise link from None
        raise _explanation(error, source, exporter) from error


def made_static(name: str, axis: int, dim: str, extent: str) -> BadInput:
    """The error of a dimension that was to be dynamic, and that the model's code fixes."""
    return BadInput(
        f"the dimension {dim!r} (axis {axis} of {name!r}) can't be dynamic: the model fixes it to {extent}",
        where=f"input {name!r}",
        remedy=f"write {extent} in place of {dim} in --input, or change the code that depends on the extent",
    )


def _explanation(error: Exception, source: Source, exporter: Exporter) -> BadInput:
    links = list(chain(error))
    root = str(links[-1]).strip()
    if found := _MADE_STATIC.search(root):
        axis = int(found["axis"])
        name = source.positional[int(found["position"])] if found["position"] else found["name"]
        spec = next(s for s in source.inputs if s.name == name)
        return made_static(name, axis, str(spec.shape[axis]), found["extent"])
    lines = [line.strip() for line in root.splitlines() if line.strip()] or [type(links[-1]).__name__]
    known = [_KNOWN[type(link).__name__] for link in links if type(link).__name__ in _KNOWN]
    what, remedy = lines[0], _CHANGE
    if known:
        operator = _OPERATOR.search(root)
        named = operator[1] if operator else ""
        what = known[0][0].format(named or "an operator")
        remedy = f"write {rewrites()[named]}" if named in rewrites() else known[0][1]
    other = "torchscript" if exporter == "dynamo" else "dynamo"
    return BadInput(
        f"the model can't be exported: {what}",
        where=user_location(error) or source.spec,
        details=[f"{type(links[-1]).__name__}: {lines[0]}", *lines[1:3]],
        remedy=remedy.replace("{other}", other),
    )
