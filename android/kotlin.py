"""The Kotlin class of a model: typed functions from its signatures, on LiteRT's ``CompiledModel``.

The API is that of ``com.google.ai.edge.litert:litert`` 2.1 to 2.3, as its sources have it
(``CompiledModel.kt``, ``TensorBuffer.kt``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..artifact import TensorSpec
from ..formats.tflite.summary import STEPS, SignatureSummary, TensorSummary
from ..validate.report import environment

KEYWORDS = frozenset(
    (
        "as", "break", "class", "continue", "do", "else", "false", "for", "fun", "if", "in", "interface", "is", "null",
        "object", "package", "return", "super", "this", "throw", "true", "try", "typealias", "typeof", "val", "var",
        "when", "while",
    )
)  # fmt: skip
"""Kotlin's hard keywords, which no identifier may be (Kotlin's language reference, keywords and operators)."""

_TAKEN = ("accelerators", "close", "create", "equals", "hashCode", "refusal", "toString")
"""Members of every class that is made."""

_TYPES = frozenset(
    (
        "Accelerator", "Array", "AssetManager", "AutoCloseable", "Boolean", "BooleanArray", "Byte", "ByteArray",
        "Companion", "CompiledModel", "Double", "Float", "FloatArray", "Int", "IntArray", "LiteRtException", "List",
        "Long", "LongArray", "Map", "Math", "Set", "String", "TensorBuffer", "Throws", "Unit",
    )
)  # fmt: skip
"""What the class speaks of: a class of this name would hide it."""


@dataclass(frozen=True)
class Element:
    """How a dtype goes through Kotlin: its array, and the ends of ``TensorBuffer.write…`` and ``read…``."""

    array: str
    access: str


ELEMENTS = {
    "float32": Element("FloatArray", "Float"),
    "int32": Element("IntArray", "Int"),
    "int64": Element("LongArray", "Long"),
    "int8": Element("ByteArray", "Int8"),
    "uint8": Element("ByteArray", "Int8"),  # the same bytes; Kotlin's unsigned arrays have no writer
    "bool": Element("BooleanArray", "Boolean"),
}
"""The dtypes that LiteRT's Kotlin API writes and reads."""


@dataclass(frozen=True)
class _Tensor:
    """What the template says of an input or an output."""

    key: str
    member: str
    constant: str
    kdoc: str
    element: Element
    dtype: str
    shape: str
    size: int
    scale: str = ""
    zero_point: int = 0

    @property
    def title(self) -> str:
        return self.member[0].upper() + self.member[1:]


@dataclass(frozen=True)
class _Function:
    """What the template says of a signature."""

    key: str | None
    member: str
    title: str
    inputs: Sequence[_Tensor]
    outputs: Sequence[_Tensor]


def render(
    functions: Sequence[SignatureSummary],
    *,
    package: str,
    class_name: str,
    model: str,
    scheme: str,
    asset: str,
    labels: str | None,
) -> str:
    """The text of the class, without a header.

    Args:
        functions: Signatures; all static, of dtypes in `ELEMENTS`.
        package: Of the class.
        class_name: Its name.
        model: What the file is called, for the comment.
        scheme: Of the file, for the comment.
        asset: The model's path in the assets.
        labels: That of its labels, if it has any.
    """
    taken = {*_TAKEN}
    titles = {class_name, *_TYPES}
    made = []
    for function in functions:
        member = unique(identifier(function.key or "invoke"), taken)
        title = member[0].upper() + member[1:]
        while {title, f"{title}Outputs"} & titles:
            title += "2"
        titles |= {title, f"{title}Outputs"}
        constants: set[str] = set()
        inputs, outputs = (_tensors(side, constants) for side in (function.inputs, function.outputs))
        made.append(_Function(function.key, member, title, inputs, outputs))
    template = environment(Path(__file__).parent, autoescape=False)
    template.filters |= {"literal": literal, "kdoc": kdoc}
    text = template.get_template("wrapper.kt.jinja").render(
        functions=made,
        package=package,
        class_name=class_name,
        model=model,
        scheme=scheme,
        asset=asset,
        labels=labels,
        quantizes=any(t.scale for f in made for t in f.inputs),
        dequantizes=any(t.scale for f in made for t in f.outputs),
    )
    return re.sub(r"\n\n(?= *\})", "\n", text)


def identifier(name: str) -> str:
    """A Kotlin identifier in camelCase of ASCII letters and digits, as near to ``name`` as can be."""
    words = re.findall(r"[A-Za-z0-9]+", name)
    made = "".join(word if not i else word[0].upper() + word[1:] for i, word in enumerate(words))
    made = made[:1].lower() + made[1:] if not made.isupper() else made.lower()
    if not made or made[0].isdigit() or made in KEYWORDS:
        return "value" + made[:1].upper() + made[1:]
    return made


def class_identifier(name: str) -> str:
    """A Kotlin class name of ``name``."""
    made = identifier(name)
    title = made[0].upper() + made[1:]
    return f"{title}Model" if title in _TYPES else title


def unique(name: str, taken: set[str]) -> str:
    """``name``, or with a number where it is taken; taken from then on."""
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}{count}"
    taken.add(found)
    return found


def literal(text: str) -> str:
    """A Kotlin string literal."""
    escaped = "".join(
        f"\\{c}" if c in '\\"$' else c if c.isprintable() else "".join(f"\\u{unit:04x}" for unit in _utf16(c))
        for c in text
    )
    return f'"{escaped}"'


def kdoc(text: str) -> str:
    """Text inside a comment: Kotlin's comments nest, and a name may hold their marks."""
    text = text.replace("*", "∗") if "*/" in text or "/*" in text else text
    return "".join(c if c.isprintable() else " " for c in text)


def _utf16(character: str) -> list[int]:
    data = character.encode("utf-16-le", "surrogatepass")
    return [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]


def _tensors(side: Sequence[tuple[TensorSpec, TensorSummary]], constants: set[str]) -> list[_Tensor]:
    taken: set[str] = set()
    return [_tensor(spec, tensor, unique(identifier(spec.name), taken), constants) for spec, tensor in side]


def _tensor(spec: TensorSpec, tensor: TensorSummary, member: str, constants: set[str]) -> _Tensor:
    shape = spec.concrete_shape()
    found = step_of(tensor)
    return _Tensor(
        key=spec.name,
        member=member,
        constant=unique(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", member).upper(), constants),
        kdoc=kdoc(f"{spec.dtype}[{','.join(map(str, shape))}] `{spec.name.replace('`', '')}`"),
        element=ELEMENTS[spec.dtype],
        dtype=spec.dtype,
        shape=", ".join(map(str, shape)),
        size=math.prod(shape),
        scale=_float(found[0]) if found else "",
        zero_point=found[1] if found else 0,
    )


def step_of(tensor: TensorSummary) -> tuple[float, int] | None:
    """Scale and zero point of a tensor that is quantized as a whole."""
    found = tensor.quantization
    return (found.scale, found.zero_point) if found and found.channels == 1 and tensor.dtype in STEPS else None


def _float(value: float) -> str:
    """A Kotlin literal of exactly this float32."""
    return f"{np.float32(value)!s}f"
