"""Which of several files to take, from their figures."""

from __future__ import annotations

import itertools
import re

import pytest

from edgeworthy.validate import advice_words as words
from edgeworthy.validate.advice import VariantResult
from edgeworthy.validate.advice_page import html, picture
from edgeworthy.validate.advice_plots import plots
from edgeworthy.validate.ranking import first, ranked

from .advice_rows import ALL, DYNAMIC, FLOAT16, FLOAT32, INT8, LOW, SLOW, recommendation, variant


def names(variants: list[VariantResult]) -> list[str]:
    return [one.name for one in variants]


@pytest.mark.parametrize(
    ("prefer", "order"),
    [
        ("latency", ["int8", "dynamic", "float16", "float32", "int16 activations"]),
        ("size", ["int8", "dynamic", "int16 activations", "float16", "float32"]),
    ],
)
def test_what_keeps_to_the_limits_is_ranked_and_the_rest_comes_after(prefer: str, order: list[str]) -> None:
    for variants in (ALL, ALL[::-1]):
        found = ranked(variants, prefer)
        assert names(found[:6]) == [*order, "int4 static"]
        assert {one.name for one in found[6:]} == {"int4 blocks", "int8, equalized"}


def test_what_is_beaten_and_by_what() -> None:
    found = {one.name: one for one in ranked(ALL, "latency")}
    assert {name: one.beaten_by for name, one in found.items() if one.beaten_by} == {"int16 activations": "dynamic"}
    assert (
        found["int16 activations"].why
        == "dynamic is faster (0.50× against 9.00×), truer (41.0 dB against 40.0 dB), and worse in nothing"
    )
    assert found["dynamic"].why == ("against int8: truer (41.0 dB against 30.0 dB), but slower (0.50× against 0.30×)")
    assert found["int4 static"].why == "misses: 9.0 dB is less than 25 dB"
    assert found["int8"].why == ""


def test_noise_decides_nothing() -> None:
    """Overlapping latencies, 5 % of size, half a percent of accuracy, less than a decibel."""
    one, other = variant("one", 0.300, 0.26, 30.0, 0.980), variant("other", 0.305, 0.27, 30.9, 0.978)
    for variants in ([one, other], [other, one]):
        found = ranked(variants, "latency")
        assert found[0].name == variants[0].name, "the first of equals"
        assert found[1].beaten_by is None
        assert found[1].why == f"against {variants[0].name}: no different in anything that was measured"


@pytest.mark.parametrize(
    ("changed", "better"),
    [
        ({"latency": 0.29}, "fastest"),
        ({"size": 0.24}, "smallest"),
        ({"accuracy": 0.99}, "most accurate"),
        ({"db": 31.1}, "truest"),
    ],
)
def test_each_criterion_decides_where_those_before_it_are_equal(changed: dict[str, float], better: str) -> None:
    base = {"latency": 0.3, "size": 0.26, "db": 30.0, "accuracy": 0.98}
    one, other = (variant(name, **(base | more)) for name, more in (("one", {}), ("other", changed)))  # type: ignore[arg-type]
    pick, trail = first([one, other], "latency")
    assert pick is other
    assert [criterion.most for criterion, _ in trail] == [better]
    assert ranked([one, other], "latency")[1].beaten_by == "other"


def test_what_could_not_be_timed_is_no_fastest() -> None:
    unknown = variant("unknown", None, 0.26, 30.0)
    assert names(ranked([unknown, SLOW], "latency")) == ["int16 activations", "unknown"]
    assert names(ranked([unknown, variant("x", None, 0.5, 40.0)], "latency")) == ["unknown", "x"], "the smaller"


def test_nothing_is_beaten_by_what_comes_after_it() -> None:
    """A file that misses a limit beats none that keeps to all; and no two beat each other, in any order."""
    low = LOW.model_copy(update={"tradeoff": variant("", 0.2, 0.1, 29.9).tradeoff, "size_bytes": 1, "accuracy": None})
    found = ranked([INT8, low], "latency")
    assert names(found) == ["int8", "int4 static"] and found[0].beaten_by is None
    close = [variant(str(n), 0.3 + 0.004 * n, 0.26 - 0.008 * n, 30 + 0.6 * (n % 3)) for n in range(5)]
    for variants in itertools.permutations(close):
        rows = ranked(variants, "latency")
        order = names(rows)
        assert rows[0].beaten_by is None
        assert all(order.index(one.beaten_by) < order.index(one.name) for one in rows if one.beaten_by)


def test_the_words_have_the_figures() -> None:
    rows = ranked(ALL, "latency")
    told = rows[0].model_copy(update={"drop": 0.005, "drop_low": -0.001, "drop_high": 0.011})
    assert words.sentence(told, keeps=True) == (
        "Take int8: 0.30× the time and 0.26× the size of float32 (300 µs, 260 kB), 30.0 dB, "
        "accuracy 97.50 % (loses 0.50 %, 95 % interval -0.10 % to 1.10 %)"
    )
    assert words.sentence(FLOAT32, keeps=True).startswith("Stay with float32: 1.00 ms, 1.00 MB")
    assert "nearest: 0.30×" in words.sentence(LOW, keeps=False)
    said = list(words.reasons(rows, "latency", ["25 dB", "at most 4 MB"]))
    assert said == [
        "5 of 6 files keep to the limits (25 dB and at most 4 MB)",
        "of these 5 it is the fastest, at 0.30×",
        "next is dynamic: truer (41.0 dB against 30.0 dB), but slower (0.50× against 0.30×)",
    ]
    assert list(words.reasons(ranked([LOW], "latency"), "latency", ["25 dB"])) == ["none of 1 files keeps to: 25 dB"]


def test_the_picture_has_every_file_once_and_marks_the_pick() -> None:
    found = recommendation()
    drawn = plots(found)
    assert set(drawn) == {"error", "accuracy"} and set(drawn["error"]) == {"wide", "narrow"}
    wide = drawn["error"]["wide"]
    for one in (*ranked(ALL, "latency")[:6],):
        assert len(re.findall(f">{re.escape(one.name)}<", wide)) == 1
    assert ">exact<" in wide and "int4 blocks" not in wide and "equalized" not in wide
    assert "var(--second)" in wide and "var(--fail)" in wide
    alone = picture(found)
    assert alone.startswith("<svg ") and "--first:#1f6feb" in alone and alone.endswith("</svg>\n")


def test_without_times_size_is_what_it_costs() -> None:
    untimed = [
        one.model_copy(update={"tradeoff": one.tradeoff.model_copy(update={"latency_ratio": None}), "accuracy": None})
        for one in (FLOAT16, DYNAMIC, INT8)
        if one.tradeoff
    ]
    drawn = plots(recommendation(untimed, timed_on=""))
    assert set(drawn) == {"error"} and "size ÷ that of float32" in drawn["error"]["wide"]
    assert plots(recommendation([INT8])) == {}
    assert picture(recommendation([INT8])).endswith("</svg>\n")


def test_the_page_tells_all() -> None:
    page = html(recommendation(), "a<b>.onnx")
    for text in (
        "Take int8",
        "a&lt;b&gt;.onnx",
        "it crashed",
        "makes the same file as int8",
        "int8, repaired",
        "41.0 dB",
    ):
        assert text in page
    assert "http" not in re.sub(r'xmlns(:xlink)?="http[^"]*"', "", page), "nothing from outside"
