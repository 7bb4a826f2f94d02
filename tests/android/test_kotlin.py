"""Names and literals of the Kotlin class."""

from __future__ import annotations

import pytest

from edgeworthy.android.kotlin import KEYWORDS, class_identifier, identifier, kdoc, literal, unique


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("image", "image"),
        ("serving_default", "servingDefault"),
        ("a:b c", "aBC"),
        ("Logits", "logits"),
        ("LOGITS", "logits"),
        ("inputIds", "inputIds"),
        ("StatefulPartitionedCall:0", "statefulPartitionedCall0"),
        ("1st", "value1st"),
        ("in", "valueIn"),
        ("", "value"),
        ("图像", "value"),
    ],
)
def test_identifiers(name: str, expected: str) -> None:
    assert identifier(name) == expected


def test_no_identifier_is_a_keyword() -> None:
    assert all(identifier(word) not in KEYWORDS and identifier(word).isidentifier() for word in KEYWORDS)
    assert class_identifier("my_net") == "MyNet"


def test_no_class_hides_what_the_class_speaks_of() -> None:
    assert [class_identifier(name) for name in ("float", "accelerator", "int8")] == [
        "FloatModel",
        "AcceleratorModel",
        "Int8",
    ]


def test_no_two_have_one_name() -> None:
    taken = {"close"}
    assert [unique(name, taken) for name in ("x", "x", "close", "x2")] == ["x", "x2", "close2", "x22"]


def test_literals_and_comments() -> None:
    assert literal('a"$b\\\n') == '"a\\"\\$b\\\\\\u000a"'
    assert literal("\U0001f600\u200b") == '"\U0001f600\\u200b"'
    assert "*/" not in kdoc("a */ /* b") and "/*" not in kdoc("a */ /* b")
    assert "\n" not in kdoc("a\nb")
