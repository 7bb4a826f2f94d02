from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeworthy.errors import BadInput
from edgeworthy.schemes import QUANTIZED, SCHEMES, get_scheme, names


def test_int8_is_short_for_the_static_scheme() -> None:
    assert get_scheme("int8") is SCHEMES["static_wi8_ai8"]


@pytest.mark.parametrize("name", [s.name for s in QUANTIZED])
def test_names_tell_what_the_scheme_does(name: str) -> None:
    scheme = get_scheme(name)
    assert scheme.name == name
    assert scheme.needs_calibration == name.startswith("static_")
    assert scheme.method == (name.partition("_w")[0] if "_w" in name else "cast")
    if scheme.method != "cast":
        weights, activations = name.removeprefix(f"{scheme.method}_w").split("_a")
        weights, shared = re.fullmatch(r"(i\d+)(t|b32)?", weights).groups()  # type: ignore[union-attr]
        assert scheme.granularity == {"t": "tensor", "b32": "block32", None: "channel"}[shared]
        assert (scheme.weights, scheme.weight_bits) == (f"int{weights[1:]}", int(weights[1:]))
        wanted = f"int{activations[1:]}" if activations[0] == "i" else f"float{activations[2:]}"
        assert scheme.activations == wanted
    assert scheme.fast
    assert scheme.size == {"float16": 0.5, "int8": 0.25, "int4": 0.125}[scheme.weights]
    assert scheme.least_sqnr_db, "what is quantized is never held to float32's noise floor"


def test_float_schemes_are_judged_by_the_floor_and_are_no_quantization() -> None:
    assert {name for name, s in SCHEMES.items() if s.by_floor} == {"float32", "float64"}
    with pytest.raises(BadInput):
        get_scheme("float32")


def test_no_two_schemes_share_a_name_or_a_file() -> None:
    assert len(set(names())) == len(names())
    for attribute in ("artifact", "file_name", "title"):
        assert len({getattr(s, attribute) for s in SCHEMES.values()}) == len(SCHEMES)


def test_an_unknown_scheme_lists_those_that_exist() -> None:
    with pytest.raises(BadInput) as caught:
        get_scheme("dynamic_wi8")
    text = str(caught.value)
    assert all(name in text for name in names())
    assert "did you mean 'dynamic_wi8_afp32'?" in text


ROOT = Path(__file__).parents[1]
PLAIN_DTYPES = {"float16", "float32", "float64", "int8"}
"""Names of schemes that are also names of data types: found by where they stand."""


def scheme_texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, text) of strings that name a scheme; docstrings and ``examples=`` may speak of one."""
    docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    shown = [n.value for n in ast.walk(tree) if isinstance(n, ast.keyword) and n.arg == "examples"]
    docs |= {id(n) for value in shown for n in ast.walk(value)}
    told = re.compile("|".join(sorted({n for s in SCHEMES.values() for n in s.names} - PLAIN_DTYPES, key=len)))
    keys = re.compile(rf"(tflite|model)_({'|'.join(n for s in SCHEMES.values() for n in s.names)})\b")
    spoken: set[int] = set()
    for node in ast.walk(tree):
        pairs: list[tuple[str, ast.AST | None]] = []
        if isinstance(node, ast.Compare):
            pairs = [(ast.unparse(node), part) for part in (node.left, *node.comparators)]
        elif isinstance(node, ast.keyword):
            pairs = [(node.arg or "", node.value)]
        elif isinstance(node, ast.AnnAssign):
            pairs = [(ast.unparse(node.target), node.value)]
        elif isinstance(node, ast.arguments):
            args = [*node.posonlyargs, *node.args]
            pairs = [(a.arg, d) for a, d in zip(args[len(args) - len(node.defaults) :], node.defaults, strict=True)]
            pairs += [(a.arg, d) for a, d in zip(node.kwonlyargs, node.kw_defaults, strict=True)]
        elif isinstance(node, ast.Call | ast.Subscript):
            place = node.func if isinstance(node, ast.Call) else node.value
            inner = node.args if isinstance(node, ast.Call) else [node.slice]
            pairs = [(ast.unparse(place), part) for part in inner]
        for name, value in pairs:
            if value is not None and "scheme" in name.lower():
                spoken |= {id(n) for n in ast.walk(value)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            names = id(node) in spoken and node.value in PLAIN_DTYPES
            if names or told.search(node.value) or keys.search(node.value):
                yield node.lineno, node.value


@pytest.mark.parametrize(
    "code",
    [
        'if scheme.name == "float16": pass',
        'def f(*, scheme: str = "float32"): pass',
        'class A:\n    scheme: str = Field(default="float32")',
        'TFLiteModel(path, scheme="int8")',
        'SCHEMES["float16"]',
        'path = out / "model_float32.tflite"',
        'key = f"tflite_int8.{x}"',
        'LIMITS = {"dynamic_wi8_afp32": 15}',
    ],
)
def test_the_search_for_names_of_schemes_finds_them(code: str) -> None:
    assert list(scheme_texts(ast.parse(code)))


def test_only_the_table_names_a_scheme() -> None:
    folders = [p.parent for p in ROOT.glob("*/__init__.py") if p.parent.name != "samples"]
    files = [*ROOT.glob("*.py"), *(p for folder in folders for p in folder.rglob("*.py"))]
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in files
        if path != ROOT / "schemes.py"
        for line, text in scheme_texts(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(("wrong", "meant"), [("int16", "static_wi8_ai16"), ("int4", "static_wi4_ai8")])
def test_a_word_of_a_title_is_told_of_its_scheme(wrong: str, meant: str) -> None:
    with pytest.raises(BadInput) as caught:
        get_scheme(wrong)
    assert meant in (caught.value.remedy or "")
