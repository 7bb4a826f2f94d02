"""What the stages hand to each other: tensor specs, model files, and what ran."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from . import files
from .errors import BadInput
from .schemes import FLOAT32
from .vocabulary import MeasuredWhere

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"

Floats: TypeAlias = "NDArray[np.float64]"

Dim = int | str
"""A static extent, or the name of a dynamic one."""

Feeds = Mapping[str, Array]
"""Input (or output) name → array."""

DTYPES = (
    "float16", "float32", "float64", "bool",
    "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip
"""The numpy dtype names that a tensor spec may have."""

_SPEC = re.compile(r"^(?P<name>.+):(?P<dtype>\w+)\[(?P<dims>[^\[\]]*)\]$")
"""A name may hold colons and brackets itself: the last colon is the one before the dtype."""


@dataclass(frozen=True)
class TensorSpec:
    """A tensor's name, numpy dtype name and shape; a string in the shape is a dynamic dimension."""

    name: str
    dtype: str
    shape: tuple[Dim, ...]

    @classmethod
    def parse(cls, text: str) -> TensorSpec:
        """Read ``name:dtype[dims]``, as in ``image:float32[batch,3,224,224]``.

        Raises:
            BadInput: the text has another form, an unknown dtype or a bad dimension.
        """
        match = _SPEC.match(text.strip())
        if not match:
            raise BadInput(
                f"{text!r} is not an input description",
                where="--input",
                remedy="write name:dtype[dims], for example image:float32[1,3,224,224]",
            )
        dtype = match["dtype"]
        if dtype not in DTYPES:
            raise BadInput(
                f"unknown dtype {dtype!r} in {text!r}",
                where="--input",
                remedy=f"use one of {', '.join(DTYPES)}",
            )
        dims = [d.strip() for d in match["dims"].split(",")] if match["dims"].strip() else []
        shape: list[Dim] = []
        for dim in dims:
            if dim.isdecimal():
                shape.append(int(dim))
            elif dim.isidentifier():
                shape.append(dim)
            else:
                raise BadInput(
                    f"bad dimension {dim!r} in {text!r}",
                    where="--input",
                    remedy="a dimension is a number (0: no elements), or a name if it is dynamic",
                )
        return cls(match["name"].strip(), dtype, tuple(shape))

    @property
    def is_static(self) -> bool:
        return all(isinstance(d, int) for d in self.shape)

    def concrete_shape(self, default: int = 1) -> tuple[int, ...]:
        """The shape with ``default`` in place of every dynamic dimension."""
        return tuple(d if isinstance(d, int) else default for d in self.shape)

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of ``shape`` fits; one name stands for one extent."""
        if len(shape) != len(self.shape):
            return False
        bound: dict[str, int] = {}
        for want, got in zip(self.shape, shape, strict=True):
            if isinstance(want, str):
                want = bound.setdefault(want, got)
            if want != got:
                return False
        return True

    def __str__(self) -> str:
        return f"{self.name}:{self.dtype}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Artifact:
    """A model on disk with its signature. ``inputs`` and ``outputs`` keep the model's own order."""

    path: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    kind: ClassVar[str] = ""

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return files.size(self.path)

    @property
    def sha256(self) -> str:
        return files.sha256(self.path)


@dataclass(frozen=True)
class OnnxModel(Artifact):
    """An ONNX file (external data beside it counts to the artifact, see ``formats.onnx.file``)."""

    kind: ClassVar[str] = "onnx"


@dataclass(frozen=True)
class SavedModel(Artifact):
    """A TensorFlow SavedModel folder with a ``serving_default`` signature."""

    kind: ClassVar[str] = "saved_model"


@dataclass(frozen=True)
class TFLiteModel(Artifact):
    """A TFLite flatbuffer with a ``serving_default`` signature.

    ``scheme`` is a name of ``schemes.SCHEMES``.
    """

    scheme: str = FLOAT32.name
    kind: ClassVar[str] = "tflite"


@dataclass(frozen=True)
class FloatOp:
    """An operator of a quantized file that stayed float, or whose weights did.

    ``op`` is its name in the schema, ``name`` that of its first output, ``reason`` says why, as far as it is known.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # as all of a report, which holds it as it is

    op: str
    name: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Receipt:
    """What was asked of a runtime and what ran.

    Attributes:
        asked: The accelerator or delegate asked for (``XNNPACK``, ``CUDA``, ``none``).
        ran: What ran, as reported by the runtime.
        nodes: Nodes in the graph, and how many of them the delegate took (None: the runtime doesn't tell).
        delegated: See ``nodes``.
        partitions: Delegate partitions.
        precision: Arithmetic the runtime used, such as ``float32`` or ``int8``.
        fallback: The nodes that the delegate didn't take, each as operator and name, as far as the runtime tells.
        measured: Where latencies are from, when only the place itself can tell: what SSH leads to may be an emulator.
        kernels: The family of kernels that computed integers: on all of one family a file gives the same bits. Empty:
            nobody tells, and what ``ran`` is a family of its own.
    """

    asked: str
    ran: str
    nodes: int | None = None
    delegated: int | None = None
    partitions: int | None = None
    precision: str = "float32"
    notes: tuple[str, ...] = field(default=())
    fallback: tuple[str, ...] = field(default=())
    measured: MeasuredWhere | None = None
    kernels: str = ""
