"""Writes ``ethos-u.toml`` (U55 and U65) and ``ethos-u85.toml`` from what Arm's compiler says of itself:

    vela --supported-ops-report && python -m edgeworthy.targets.rules.vela SUPPORTED_OPS.md 2026-09

The report is prose. Each sentence of it has a condition here, or None where nothing that edgeworthy makes can break
it; a sentence that isn't here is an error, so that a new version of vela can't pass unread.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from ...errors import BadInput

_SCALED = "any(t.scales for t in tensors) and all(t.scales or t.dtype == 'bool' for t in tensors)"
_NOT_MATMUL = "(op == 'FULLY_CONNECTED' and weights.constant)"
_UPSCALES = (
    "x.nhwc[1:3] == (1, 1) or x.nhwc == y.nhwc or any(all("
    "(y.nhwc[a] - align_corners) == f * (x.nhwc[a] - align_corners) or x.nhwc[a] == y.nhwc[a] == 1 for a in (1, 2))"
    " for f in {0})"
)
_MOST = 1 << 16
_TRANSPOSED = (
    f"x.dtype == 'int32' or prod(x.nhwc[:-3]) == 1 and max(x.nhwc) <= {_MOST} or prod(sorted(x.nhwc)[2:]) <= {_MOST}"
)

_UNPADDED = (
    "all((-(-i // s) - 1) * s + k <= i for i, s, k in zip(x.nhwc[1:3], (stride_h, stride_w), kernel)) "
    "if padding == 'SAME' else True"
)
"""SAME that pads nothing is as good as VALID."""

_MEANING: dict[str, str | None] = {
    "Only the first dimension of tensors can be dynamic.": "all(None not in t.shape[1:] for t in tensors)",
    "Tensors must have constant shape.": None,
    "Operations must have at least one IFM.": "len(tensors) > len(outputs)",
    "Operations must have at least one OFM.": None,
    "Input(s), Output and Weight tensors must have quantization parameters.": _SCALED,
    "Quantization scale of any tensor must be positive.": None,
    "Per-axis quantization is not supported.": "all(t.scales <= 1 for t in (*inputs, *outputs))",
    "64-bit feature-maps are not supported.": "all(t.dtype != 'int64' for t in tensors)",
    "32-bit feature-maps are not supported.": "all(t.dtype != 'int32' for t in tensors)",
    "Zero-points must be 0 for Int32 and non-negative for unsigned dataTypes": None,
    "IFM depth must be less than or equal to 127.": "x.nhwc[-1] <= 127",
    "Kernel stride must be in the range (1,3).": "max(stride_h, stride_w) <= 3",
    "Operation must be performed along the depth axis.": "axes == (x.rank - 1,)",
    "Stride>3 is only supported IF (dilation = 1 AND padding = VALID)":
        f"max(stride_h, stride_w) <= 3 or dilation_h_factor == dilation_w_factor == 1 and ({_UNPADDED})",
    "IF Matmul or (FC with dynamic weights): IFM precision must be Int8": f"{_NOT_MATMUL} or x.dtype == 'int8'",
    "IF Matmul or (FC with dynamic weights): OFM depth must be less than or equal to 2^16":
        f"{_NOT_MATMUL} or y.nhwc[-1] <= {_MOST}",
    "IF Matmul or (FC with dynamic weights): Reduced axis must be less than or equal to 2^16":
        f"{_NOT_MATMUL} or x.nhwc[-1] <= {_MOST}",
    "Bias tensors must be constant": "bias is None or bias.constant",
    "Bias tensors precision must be Int32 or Int64": "bias is None or bias.dtype in ('int32', 'int64')",
    "Bias values must be stored in the channel axis": None,
    "Weight tensors must be 8-bit precision": "weights.dtype in ('int8', 'uint8')",
    "FullyConnected weights must be on the form O,1,1,..,1,I.": "all(d == 1 for d in weights.shape[1:-1])",
    "IFM and OFM datatypes must match, and must be Int8": "x.dtype == y.dtype == 'int8'",
    "IFM and OFM datatypes must match, and must be Int8 or UInt8":
        "x.dtype == y.dtype and x.dtype in ('int8', 'uint8')",
    "IFM and OFM datatypes must match, and must be Int8 or Int16":
        "x.dtype == y.dtype and x.dtype in ('int8', 'int16')",
    "IFM and OFM shapes must match": "x.shape == y.shape",
    "IFM must be Int8 or Int16": "x.dtype in ('int8', 'int16')",
    "Both Input quantization parameters must match OFM quantization parameters":
        "y.quantization is None or all(t.quantization in (None, y.quantization) for t in inputs)",
    "kernel product must be less than or equal to 256*256 and kernel height must be less than or equal to 256.":
        f"prod(kernel) <= {_MOST} and kernel[0] <= 256",
    "Amount of reduced elements cannot exceed: 16777216(Int8), 8388608(UInt8), 65536(Int16).":
        "x.size // y.size <= (65536 if x.dtype == 'int16' else 8388608 if x.dtype == 'uint8' else 16777216)",
    "Batch must be 1.": "x.rank < 4 or x.shape[0] in (1, None)",
    "IFM precision must be one of: (Int8, UInt8, Int16)": "x.dtype in ('int8', 'uint8', 'int16')",
    "Parameter tensors must be constant": "all(t.constant or t.dtype == 'none' for t in inputs[1:])",
    "Reduced axis must be less than 4096": "all(x.shape[a] is None or x.shape[a] <= 4096 for a in axes)",
    "Reduction over depth is only supported if any of h,w,c == 1": "x.rank - 1 not in axes or 1 in x.nhwc[-3:]",
    "Params tensor must be Int32 or Int64": "inputs[1].dtype in ('int32', 'int64')",
    "Axis attribute is not supported.": "False",
    "The product of IFM width and height must be less than 65536": "prod(x.nhwc[-3:-1]) < 65536",
    "num_splits must match the number of outputs.": None,
    "Slice must represent a volume. Stride must be non-negative (and over W or H).":
        "all(all(s >= 1 for s in t.value) for t in inputs[3:4] if t.value is not None)",
    "Tensor dimension must be <= 8": "x.rank <= 8",
    "Stride values WxH must be: 1x1 OR 2x2 OR 2x1 (if IFM height and kernel height is 1) OR 1x2 (if IFM width and "
    "kernel width is 1)":
        "(stride_w, stride_h) in ((1, 1), (2, 2)) or (stride_w, stride_h) == (2, 1) and x.nhwc[1] == kernel[0] == 1 "
        "or (stride_w, stride_h) == (1, 2) and x.nhwc[2] == kernel[1] == 1",
    "axis must be equal to batch_dims": "axis == batch_dims",
    "Index tensor must be constant": "inputs[0].constant",
    "Index tensor must have channel=1": "inputs[0].nhwc[-1] == 1",
    "Index tensor elements must be unique": None,
    "Shape tensor must be constant": "inputs[2].constant",
    "Scale-factor must be an integer power of two.":
        _UPSCALES.format("(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)"),
    "align_corners and half_pixel_centers are mutually exclusive.": "not (align_corners and half_pixel_centers)",
    "Kernel constraints: IF padding=VALID: Kernel product must be less than or equal to 256*256 Kernel height must be "
    "less than or equal to 256. ELSE: Kernel width and height must be less than or equal to 8":
        f"prod(kernel) <= {_MOST} and kernel[0] <= 256 if ({_UNPADDED}) else max(kernel) <= 8",
    "Shape constraints: IF PADDING=SAME: OFM must be equal to IFM * stride ELSE: OFM must be equal to IFM * stride + "
    "(kernel - stride)":
        "all(o == i * s + (0 if padding == 'SAME' else max(k - s, 0)) for o, i, s, k in "
        "zip(y.nhwc[1:3], x.nhwc[1:3], (stride_h, stride_w), kernel))",
}  # fmt: skip
"""A sentence, its lines joined → its condition."""

_PATTERNS: tuple[tuple[str, str, str | None], ...] = (
    (r"Int64 bias must be smaller than \d+", "", None),
    (r"Weigth sum constraints: .*", "", None),  # 65536 weights of 127 in one sum
    (r"(Gate|Implicit|Peephole|Projection|Variable).*", "", None),  # recurrent cells, and variables
    (r"(IFM|OFM) Zero-points must be in the range.*", "", None),
    (r"IF not \(IFM H.*half pixel.*2x ELSE: Scale-factor needs to be one of: 2x/4x/8x",
     "Scale-factor must be one of 2x/4x/8x, with half pixel centers 2x",
     _UPSCALES.format("((2,) if half_pixel_centers else (2, 4, 8))")),
    (r"IF not \(IFM H.*Scale-factor must be one of: 2x/4x/8x",
     "Scale-factor must be one of 2x/4x/8x", _UPSCALES.format("(2, 4, 8)")),
    (r"Scale-factor: IF align_corners: .* 2048 ELSE: .* 1024\.",
     "Scale-factor can be maximum 1024, with align_corners 2048",
     "all(y.nhwc[a] <= (2048 if align_corners else 1024) * x.nhwc[a] for a in (1, 2))"),
    (r"IF IFM is Int32: .*", "Rank of Int32 must be less than or equal to 4", "x.dtype != 'int32' or x.rank <= 4"),
    (r"IF IFM is Int8 or Int16 .*",
     "Axes must be less than or equal to 2^16, and products of all but two", _TRANSPOSED),
)  # fmt: skip
"""The same for sentences with numbers in them, and for long ones, with what is said in their place."""

_DTYPES = re.compile(r"Feature-map dataTypes must be one of \{(.*)\}")
_EMPTY = (
    "",
    "[[requires]]",
    'that = "all(0 not in t.shape for t in inputs)"',
    'says = "it has an operand without elements, and Vela takes no file with such a one"',
    'remedy = "keep an axis: keepdim=True in place of a single number"',
)
"""What the report doesn't say: found by trying."""

_REMEDIES = {
    "Only the first dimension of tensors can be dynamic.": "give the inputs fixed sizes with --input",
    "Input(s), Output and Weight tensors must have quantization parameters.":
        "it computes shapes or indices: give the inputs fixed sizes with --input, or make it a constant",
}  # fmt: skip
_SECTIONS = {"ethos-u": "Ethos-U55 and Ethos-U65", "ethos-u85": "Ethos-U85"}
CONFIGURATIONS = {
    "Ethos-U55 and Ethos-U65": ("55-32", "55-64", "55-128", "55-256", "65-256", "65-512"),
    "Ethos-U85": ("85-128", "85-256", "85-512", "85-1024", "85-2048"),
}
"""Section of the report → the configurations of it that the compiler takes."""

_CHECKED = "against vela's own decision on the models of tests/targets/test_ethos_u.py"


def written(report: str, section: str, date: str) -> str:
    """The rules of one section of the report, as TOML.

    Raises:
        BadInput: the report has another form, or a sentence that has no condition here.
    """
    version = re.search(r"Vela version: `([^`]+)`", report)
    if version is None:
        raise BadInput("this is no report of vela", remedy="vela --supported-ops-report")
    lines = [
        "# Written by `python -m edgeworthy.targets.rules.vela`; change that, not this.",
        f'title = "{section}"',
        "integer = true",
        'source.document = "SUPPORTED_OPS.md of ethos-u-vela"',
        f'source.version = "{version[1]}"',
        f'source.date = "{date}"',
        f'source.checked = "{_CHECKED}"',
    ]
    table = _part(report, f"## {section} TFLite Summary Table", "\n## ")
    names = re.findall(r"^\| ([A-Z0-9_]+) \|", table, re.M)
    also = [_text(f"ethos-u:{name}") for name in CONFIGURATIONS[section]]
    lines += [f"also = [{', '.join(also)}]", f"ops = [{', '.join(map(_text, names))}]", *_EMPTY]
    for sentence, spared in _sentences(_part(report, f"## {section} TFLite Generic Constraints", "\n## ")):
        lines += _requirement(sentence, "spares", spared)
    asked: dict[str, list[str]] = {}
    for name in names:
        heading = f"### {section} TFLite {name} Constraints"
        for sentence, _ in _sentences(_part(report, heading, "\n##")) if heading in report else ():
            asked.setdefault(sentence, []).append(name)
    for sentence, of in asked.items():
        lines += _requirement(sentence, "of", of)
    return "\n".join(lines) + "\n"


def _part(report: str, begin: str, end: str) -> str:
    found = report.partition(f"{begin}\n")[2]
    if not found:
        raise BadInput(f"the report has no {begin!r}", remedy="look what became of it, and mend the reader")
    return found.partition(end)[0]


def _sentences(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each point of a list, with the points below it, as one line; and the operators that it excepts."""
    for point in re.split(r"^- ", text, flags=re.M)[1:]:
        lines = [re.sub(r"^\s*- ", "", line).strip() for line in point.strip().splitlines()]
        spared = [line for line in lines if line.startswith("Exceptions:")]
        told = re.findall(r"\w+", spared[0])[1:] if spared else []
        names = ["ARG_MAX" if name == "ARGMAX" else name for name in told]
        yield " ".join(line for line in lines if line not in spared), names


def _requirement(sentence: str, key: str, names: list[str]) -> list[str]:
    """The lines on one sentence; ``key`` says what the operators are to it."""
    says, condition = _meaning(sentence)
    if condition is None:
        return []
    lines = ["", "[[requires]]", f"that = {_text(condition)}", f"says = {_text(says.removesuffix('.'))}"]
    lines += [f"remedy = {_text(_REMEDIES[sentence])}"] if sentence in _REMEDIES else []
    return lines + ([f"{key} = [{', '.join(map(_text, names))}]"] if names else [])


def _meaning(sentence: str) -> tuple[str, str | None]:
    """What is said of a sentence that doesn't hold, and its condition."""
    if match := _DTYPES.fullmatch(sentence):
        dtypes = ", ".join(repr(d.strip(' "').lower()) for d in match[1].split(","))
        return (
            f"tensors have to be one of {dtypes.replace(chr(39), '')}",
            f"all(t.dtype in ({dtypes}) for t in tensors)",
        )
    if sentence in _MEANING:
        return sentence, _MEANING[sentence]
    for pattern, says, condition in _PATTERNS:
        if re.fullmatch(pattern, sentence, re.I):
            return says, condition
    raise BadInput(f"no condition is known for {sentence!r}", remedy="add it to _MEANING")


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


if __name__ == "__main__":
    _report = Path(sys.argv[1]).read_text(encoding="utf-8")
    for _name, _section in _SECTIONS.items():
        _path = Path(__file__).with_name(f"{_name}.toml")
        _path.write_text(written(_report, _section, sys.argv[2]), encoding="utf-8")
