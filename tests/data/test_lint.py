"""What makes data look wrong: each rule on data that has the fault and on data that hasn't."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.data import lint
from edgeworthy.data.normalization import Normalization
from edgeworthy.data.survey import Survey

IMAGE = TensorSpec("x", "float32", (1, 3, 16, 16))
RANDOM = np.random.default_rng(0)


def smooth(count: int, channels: int = 3) -> Any:
    """Images whose neighbours are alike, and whose colours differ: [count, height, width, channels] in 0…1."""
    ramp = np.linspace(0, 1, 16)
    colours = RANDOM.uniform(0.2, 0.8, (count, 1, 1, channels)) * ramp[:, None, None] + 0.2 * ramp[:, None]
    return np.clip(colours + RANDOM.normal(0, 0.01, (count, 16, 16, channels)), 0, 1).astype(np.float32)


IMAGES = smooth(40).transpose(0, 3, 1, 2)
NORMALIZED = (IMAGES - np.float32(0.45)) / np.float32(0.22)


def found(data: Any, spec: TensorSpec = IMAGE, labels: Sequence[int] = (), **more: Any) -> dict[str, str]:
    survey = Survey((spec,))
    for i, row in enumerate(data):
        survey.add({"x": row[None]}, labels[i : i + 1])
    findings = lint.check(lint.Seen(survey, **more))
    assert all(f.severity == "warning" and f.remedy for f in findings)
    return {f.rule: str(f) for f in findings}


def test_good_data_has_no_findings() -> None:
    assert found(NORMALIZED, labels=[i % 4 for i in range(40)], examples={"x": NORMALIZED[:1]}) == {}
    assert found(IMAGES) == {}
    assert found(RANDOM.normal(size=(40, 3, 16, 16)).astype(np.float32)) == {}
    assert found(RANDOM.normal(size=(40, 7)).astype(np.float32), TensorSpec("x", "float32", (1, 7))) == {}


@pytest.mark.parametrize("count", [1, 31, 32])
def test_few_samples(count: int) -> None:
    assert ("few" in found(NORMALIZED[:count])) == (count < 32)


def test_one_number_everywhere() -> None:
    rules = found(np.full((40, 3, 16, 16), 0.5, np.float32), examples={"x": NORMALIZED[:1]})
    assert "'x' is 0.5 everywhere: its ranges fit no other input" in rules["constant"]
    assert set(rules) == {"constant", "repeated"}


@pytest.mark.parametrize(("repeats", "said"), [(5, False), (10, True), (39, True)])
def test_repeated_samples(repeats: int, said: bool) -> None:
    data = NORMALIZED.copy()
    data[40 - repeats :] = data[0]
    rules = found(data)
    assert ("repeated" in rules) == said
    assert not said or rules["repeated"].startswith(f"{repeats} of 40 calibration samples are repeats")


def test_a_dead_channel() -> None:
    data = NORMALIZED.copy()
    data[:, 1] = 0
    assert "channels of 'x' never change in the calibration data: 1 (0)" in found(data)["channel"]
    last = TensorSpec("x", "float32", (1, 16, 16, 3))
    assert "1 (0)" in found(np.ascontiguousarray(data.transpose(0, 2, 3, 1)), last)["channel"]


@pytest.mark.parametrize(
    ("scale", "rule"), [(1.0, None), (5.0, "moments"), (1e-3, "scale"), (255.0, "scale"), (3.0, None)]
)
def test_another_scale_than_the_examples(scale: float, rule: str | None) -> None:
    data = (NORMALIZED * np.float32(scale)).astype(np.float32)
    rules = found(data, examples={"x": NORMALIZED[:1]})
    assert set(rules) == ({rule} if rule else set())
    assert rule is None or "--mean, --std" in rules[rule]


def test_images_that_were_scaled_and_not_normalized() -> None:
    assert set(found(IMAGES, examples={"x": NORMALIZED[:1]})) == {"moments"}
    assert found(IMAGES, examples={"x": IMAGES[:1]}) == {}


def test_an_example_of_one_number_says_nothing_of_the_moments() -> None:
    line = TensorSpec("x", "float32", (1, 1))
    data = RANDOM.uniform(-3, 3, (40, 1)).astype(np.float32)
    assert found(data, line, examples={"x": np.ones((1, 1), np.float32)}) == {}


def test_raw_pixels_where_nobody_gave_an_example() -> None:
    raw = np.rint(IMAGES * 255).astype(np.float32)
    assert "whole numbers from" in found(raw)["pixels"]
    assert found(raw, examples={"x": raw[:1]}) == {}
    assert found(raw, normalization=Normalization(1.1, 0.2)) == {}, "the model itself says that it takes them"
    assert set(found(raw, normalization=Normalization(240, 80))) == {"normalization", "pixels"}
    table = TensorSpec("x", "float32", (1, 4))
    assert found(RANDOM.integers(0, 200, (40, 4)).astype(np.float32), table) == {}, "these are no images"


@pytest.mark.parametrize(("width", "shift", "said"), [(1, 0, 0), (2.5, 2, 0), (0.2, 0, 1), (255, 0, 1), (1, 4, 1)])
def test_what_batch_normalization_remembers(width: float, shift: float, said: int) -> None:
    assert len(found(IMAGES, normalization=Normalization(width, shift))) == said


def test_channels_that_were_reshaped_and_not_moved() -> None:
    last = smooth(40)
    assert "layout" in found(last.reshape(40, 3, 16, 16))
    assert "transpose(0, 3, 1, 2)" in found(last.reshape(40, 3, 16, 16))["layout"]
    free = TensorSpec("x", "float32", ("n", "c", "h", "w"))
    example = {"x": np.ascontiguousarray(last[:1].transpose(0, 3, 1, 2))}
    assert "layout" in found(last, free, examples=example)
    assert found(last.transpose(0, 3, 1, 2), free, examples=example) == {}


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        ([i % 10 for i in range(40)], range(10), ""),
        ([i % 9 for i in range(40)], range(10), "no calibration sample is of 1 of 10 classes (9)"),
        ([i % 2 * 3 for i in range(40)], (), "no calibration sample is of 2 of 4 classes (1, 2)"),
        ([], range(10), ""),
    ],
)
def test_a_class_without_samples(labels: Any, classes: Any, said: str) -> None:
    rules = found(NORMALIZED, labels=labels, classes=frozenset(classes))
    assert rules.get("class", "").startswith(said) and ("class" in rules) == bool(said)


def test_inputs_of_which_nothing_is_known() -> None:
    survey = Survey((IMAGE,))
    survey.add({"x": NORMALIZED[:1]})
    assert lint.unknown_range(lint.Seen(survey)) == ["x"]
    assert lint.unknown_range(lint.Seen(survey, {"x": NORMALIZED[:1]})) == []
    assert lint.unknown_range(lint.Seen(survey, normalization=Normalization(1, 0))) == []


def test_every_rule_has_a_name_and_a_remedy_of_its_own() -> None:
    assert len({rule.name for rule in lint.RULES}) == len(lint.RULES)
    assert all(rule.severity in ("error", "warning") and rule.about and rule.remedy for rule in lint.RULES)
    assert all((rule.severity == "error") == (rule.find is None) for rule in lint.RULES)
