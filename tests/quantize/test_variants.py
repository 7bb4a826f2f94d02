"""The ways to quantize that are tried."""

from __future__ import annotations

from typing import Any

import pytest

from edgeworthy.quantize.recipe import Recipe
from edgeworthy.quantize.variants import Variant, variants
from edgeworthy.schemes import QUANTIZED, SCHEMES

KINDS = ("CONV_2D", "FULLY_CONNECTED", "SOFTMAX", "RESHAPE")
SUMS, MATRICES = "int8, sums of products alone", "dynamic, matrices alone"


def found(kinds: tuple[str, ...] = KINDS, **static: Any) -> dict[str, Variant]:
    recipes = {
        s.name: Recipe.of(s.name, device=static.get("device", "cpu")) for s in QUANTIZED if not s.needs_calibration
    }
    recipes |= {s.name: Recipe.of(s.name, **static) for s in QUANTIZED if s.needs_calibration}
    return {one.name: one for one in variants(recipes, kinds)}


def tried(named: dict[str, Variant]) -> set[str]:
    return {name for name, one in named.items() if not one.skipped}


def test_every_scheme_and_every_mix_the_usual_and_cheap_ones_first_repair_last() -> None:
    names = list(found())
    assert names[:6] == ["float16", "dynamic", MATRICES, "int8", SUMS, "int8, equalized"]
    assert {s.title for s in QUANTIZED} < set(names) and names[-1] == "int8, repaired"
    assert len({one.slug for one in found().values()}) == len(names)
    assert not any(one.skipped for one in found().values())


def test_a_mix_that_would_change_nothing_is_left_out() -> None:
    assert SUMS not in found(("CONV_2D", "RESHAPE")) and MATRICES not in found(("CONV_2D", "RESHAPE"))
    assert MATRICES not in found(("FULLY_CONNECTED", "SOFTMAX")) and SUMS in found(("FULLY_CONNECTED", "SOFTMAX"))


def test_the_users_own_rules_have_the_last_word() -> None:
    recipe = Recipe.of("int8", exclude=["head"])
    mixed = {one.name: one for one in variants({"static_wi8_ai8": recipe}, KINDS)}[SUMS]
    assert [rule.pattern for rule in mixed.recipe.rules][1:] == ["head"]


@pytest.mark.parametrize(
    ("asked", "only"),
    [
        ({"device": "ethos-u"}, {"int8", "int8, equalized", "int8 per tensor", "int16 activations", "int4 static"}),
        ({"full_integer": True}, {"int8", "int8, equalized", "int8 per tensor", "int16 activations", "int4 static"}),
        ({"io_dtype": "int8"}, {*found()} - {"int16 activations"}),
    ],
    ids=["ethos-u", "full-integer", "io-dtype"],
)
def test_what_is_no_use_is_skipped_with_its_reason(asked: dict[str, Any], only: set[str]) -> None:
    named = found(**asked)
    assert tried(named) == only
    assert all(one.skipped for name, one in named.items() if name not in only)


def test_tensorflow_takes_no_mixes() -> None:
    recipes = {s.name: Recipe.of(s.name, engine="tensorflow") for s in QUANTIZED}
    named = {one.name: one for one in variants(recipes, KINDS)}
    assert tried(named) == {
        SCHEMES[name].title for name in ("float16", "dynamic_wi8_afp32", "static_wi8_ai8", "static_wi8_ai16")
    }
