"""Where a model can run: one file a target, each a ``Target`` with a receipt of what ran.

``targets.get(name)`` gives a runtime for this process; ``targets.worker.Worker`` runs one in a process of its
own. Nothing of a runtime is imported before it is asked for its version or to load a model.

A package of a third party adds a target by an entry point of the group ``edgeworthy.targets`` whose value is a
``TargetInfo`` (see ``plugins``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import BadInput, NotAvailable
from ..plugins import Registry
from . import (
    android,
    arm64,
    edgetpu,
    ethos_u,
    executorch,
    keras,
    litert_gpu,
    litert_npu,
    onnx_reference,
    onnxruntime,
    openvino,
    pytorch,
    ssh,
    tensorflow,
    tf_serving,
    tflite,
    tflite_micro,
    tflite_old,
    torch_compile,
    torchscript,
)
from .browser import litertjs, tfjs
from .info import Target, TargetInfo

__all__ = ["TARGETS", "Target", "TargetInfo", "find", "get", "listed"]

_FILES = (
    pytorch, torch_compile, torchscript, executorch, onnxruntime, onnx_reference, tensorflow, keras, tf_serving, tflite,
    tflite_old, litert_gpu, litert_npu, openvino, arm64, android, ssh, tflite_micro, ethos_u, edgetpu, litertjs, tfjs,
)  # fmt: skip
"""The order of the hops."""


class Targets(Registry[TargetInfo]):
    """Every target, by name."""

    @property
    def names(self) -> dict[str, str]:
        """Every name and alias → the name."""
        return {alias: target.name for target in self.values() for alias in (target.name, *target.aliases)}

    @property
    def usual(self) -> list[str]:
        """Those that are used when none is asked for."""
        return [target.name for target in self.values() if target.default]


TARGETS = Targets("target", TargetInfo, (target for file in _FILES for target in file.TARGETS))


def find(text: str) -> TargetInfo:
    """The target of ``NAME[:ADDRESS][,OPTION=VALUE …]``, whether or not it can run here.

    Raises:
        BadInput: there is no such target, which names the nearest; or it takes no such address or option, or an
            option is there twice, or nothing is behind a colon.
        NotAvailable: the package that brings it can't be loaded.
    """
    head, *said = text.split(",")
    options = dict(pair.partition("=")[::2] for pair in said)
    if head.endswith(":"):  # as of a shell's variable that is empty: another device would be taken than was meant
        raise BadInput(f"{head} has no address after the colon", where="--target", remedy="give one, or no colon")
    if len(options) < len(said):
        raise BadInput(f"an option is given twice: {text}", where="--target", remedy="give each option once")
    for name, address in _readings(head):
        if name in TARGETS.names:
            return TARGETS[TARGETS.names[name]].given(address, options)
        if name in TARGETS.broken:
            return TARGETS.find(name, where="--target")
    return TARGETS.find(head, where="--target", also=TARGETS.names)


def _readings(head: str) -> Iterator[tuple[str, str]]:
    """Name and address, the longest name first: a name may hold colons itself, as ``litert:gpu`` does."""
    parts = head.split(":")
    for count in range(len(parts), 0, -1):
        yield ":".join(parts[:count]), ":".join(parts[count:])


def listed(texts: Iterable[str]) -> list[str]:
    """Targets out of lists with commas, each once: ``a,b`` is two, and ``a,option=value`` is one with an option."""
    found: list[str] = []
    for piece in map(str.strip, ",".join(texts).split(",")):
        if "=" in piece and found:
            found[-1] += f",{piece}"
        else:
            found.append(piece)
    return list(dict.fromkeys(found))


def get(name: str, **options: Any) -> Target:
    """The runtime of this name (see ``find``), with options such as pytorch's ``float64=True``.

    Raises:
        BadInput: there is no such target.
        NotAvailable: its package isn't installed.
    """
    target = find(name)
    if target.version is None:
        what = f"{target.name} needs {target.module}, which" if target.module else f"what {target.name} needs"
        raise NotAvailable(f"{what} is not installed", remedy=target.install)
    return target.make(**{**target.options, **options})
