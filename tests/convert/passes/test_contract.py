from __future__ import annotations

import pkgutil
from collections.abc import Iterable

import pytest

from edgeworthy.convert import passes
from edgeworthy.convert.passes import PIPELINE, Pass
from edgeworthy.convert.passes.contract import Property, Repeat, check_order, passes_of
from edgeworthy.errors import InternalFault

READY = Property("the model is ready", lambda model: None)
OTHER = Property("something else", lambda model: None)


def make(
    name: str,
    *,
    requires: Iterable[Property] = (),
    ensures: Iterable[Property] = (),
    breaks: Iterable[Property] = (),
    must_follow: tuple[str, ...] = (),
) -> Pass:
    return Pass(name, lambda rw: None, frozenset(requires), frozenset(ensures), frozenset(breaks), must_follow)


def test_the_pipeline_is_in_order() -> None:
    check_order(PIPELINE)


def test_every_pass_is_in_a_file_of_its_name_and_documented() -> None:
    for step in passes_of(PIPELINE):
        module = __import__(f"edgeworthy.convert.passes.{step.name}", fromlist=["PASS"])
        assert module.PASS is step
        for heading in ("Before", "After", "Leaves alone"):
            assert heading in module.__doc__, f"{step.name} doesn't say {heading}"


def test_every_pass_is_in_the_pipeline() -> None:
    names = {m.name for m in pkgutil.iter_modules(passes.__path__)}
    modules = {n: __import__(f"edgeworthy.convert.passes.{n}", fromlist=["x"]) for n in names}
    assert {n for n, m in modules.items() if hasattr(m, "PASS")} == {p.name for p in passes_of(PIPELINE)}


def test_must_follow_names_passes_that_exist() -> None:
    names = {p.name for p in passes_of(PIPELINE)}
    assert all(set(p.must_follow) <= names for p in passes_of(PIPELINE))


def test_what_is_required_must_be_ensured_before() -> None:
    check_order([make("a", ensures=[READY]), make("b", requires=[READY])])
    with pytest.raises(InternalFault, match="b is at the wrong place") as caught:
        check_order([make("b", requires=[READY]), make("a", ensures=[READY])])
    assert "the model is ready" in str(caught.value)


def test_what_is_broken_is_no_longer_there() -> None:
    with pytest.raises(InternalFault, match="c is at the wrong place"):
        check_order([make("a", ensures=[READY]), make("b", breaks=[READY]), make("c", requires=[READY])])


def test_must_follow() -> None:
    check_order([make("b", must_follow=("a",))])
    with pytest.raises(InternalFault, match="it must follow a"):
        check_order([make("b", must_follow=("a",)), make("a")])


def test_after_a_group_all_holds_that_its_passes_ensure() -> None:
    a, b = make("a", ensures=[READY]), make("b", requires=[READY], breaks=[READY], ensures=[OTHER])
    check_order([Repeat((a, b)), make("c", requires=[READY, OTHER])])
    with pytest.raises(InternalFault):
        check_order([Repeat((b, a))])
