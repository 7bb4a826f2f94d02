"""Flags as the schema makes them: names, types, help, and what they give the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeworthy.cli import flags
from edgeworthy.config import Config
from edgeworthy.errors import BadInput
from edgeworthy.keys import keys
from edgeworthy.pipeline.plan import ALL, STAGES, brought, chosen

OPTIONS = {option.key.name: option for stages in (ALL, ("recommend",)) for option in flags.of_stages(stages)}

ORDER = tuple(STAGES)


def test_every_flag_of_the_schema_belongs_to_one_stage() -> None:
    assert set(OPTIONS) == {key.name for key in keys() if key.flag}
    tables = [name for stage in STAGES.values() for name in stage.tables]
    top = {key.path[0] for key in keys()}
    assert sorted(t for t in tables if "." not in t) == sorted(top - {"gate"}), "a table that no stage reads, or two"
    assert {t for t in tables if "." in t} <= set(OPTIONS), "a single key, read before its table"


def test_every_stage_names_what_there_is() -> None:
    from edgeworthy.pipeline.inputs import Inputs
    from edgeworthy.pipeline.stages import Pipeline
    from edgeworthy.validate.results import Report

    for stage in STAGES.values():
        assert all(hasattr(Inputs, name) or name in Inputs.__annotations__ for name in stage.checks), stage
        assert all(hasattr(Pipeline, name) for name in stage.results), stage
        assert set(stage.verdicts) <= set(Report.model_fields), stage
        assert set(stage.builds_on) <= set(ORDER[: ORDER.index(stage.name)]), stage


def test_stages_come_in_their_order_with_what_they_build_on() -> None:
    assert "recommend" in ORDER and "recommend" not in ALL, "no part of a run"
    assert chosen(["bench", "export"]) == ("export", "bench")
    assert brought(["quantize"]) == {"convert", "quantize"}
    assert brought(["validate"]) == {"export", "convert", "quantize", "validate"}
    with pytest.raises(BadInput, match="no stage 'validat'"):
        chosen(["validat"])
    with pytest.raises(BadInput, match="no stage was named"):
        chosen([])


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("output", Path("out"), Path("out")),
        ("seed", "3", 3),
        ("seed", "x", "x"),
        ("model.inputs", ["x:float32[1,3]", "y:int64[2]"], ["x:float32[1,3]", "y:int64[2]"]),
        ("convert.to", ["tflite,saved_model"], ["tflite", "saved_model"]),
        ("convert.check_passes", False, False),
        ("convert.check_passes", None, None),
        ("quantize.schemes", ["int8", "float16,"], ["int8", "float16"]),
        ("quantize.schemes", [], None),
        ("validate.atol", ["1e-4"], {"*": 1e-4}),
        ("validate.atol", ["a:b:1e-4,2", "c:3"], {"a:b": 1e-4, "*": 2.0, "c": 3.0}),
        ("validate.timeout_s", "2.5", 2.5),
        ("bench.threads", ["1,2", "4"], [1, 2, 4]),
        ("bench.threads", ["two"], ["two"]),
    ],
)
def test_what_is_typed_becomes_what_the_schema_takes(key: str, given: Any, value: object) -> None:
    assert OPTIONS[key].read(given) == value


def test_a_command_outside_of_runs_has_the_flags_before_it_but_for_those_that_say_nothing_to_it() -> None:
    named = {option.key.name for option in flags.of_stages(("recommend",))}
    keys_of_others = {option.key.name for option in flags.of_stages(ALL)}
    without = set(STAGES["recommend"].without)
    assert without < keys_of_others and not without & named
    assert {"recommend.prefer", "validate.labelled", "quantize.budget.min_sqnr_db"} < named
    assert "bench.seconds" not in named and "recommend.prefer" not in keys_of_others


def test_quantize_has_the_flag_of_the_labelled_data_that_its_advice_names_and_no_flag_comes_twice() -> None:
    names = [option.key.name for option in flags.of_stages(("quantize",))]
    assert {"validate.labelled", "validate.accuracy", "quantize.budget.max_accuracy_drop"} < set(names)
    assert "validate.atol" not in names
    everything = [option.key.name for option in flags.of_stages(ALL)]
    assert len(everything) == len(set(everything))


def test_help_has_the_docstring_the_choices_and_the_default() -> None:
    assert (
        OPTIONS["quantize.samples"].help
        == "Most calibration samples to use; default: 128, or all of a set that was saved."
    )
    assert OPTIONS["bench.seconds"].help == "Time for each row; default: 2."
    assert OPTIONS["convert.io_layout"].metavar == "keep|nhwc"
    assert OPTIONS["model.inputs_file"].help.startswith(".npz")
    assert not any(option.help.endswith("..") for option in OPTIONS.values())


def test_overrides_are_nested_and_only_what_was_given_has_a_name() -> None:
    options, given = list(OPTIONS.values()), {"seed": "3", "scheme": ["int8"], "check_passes": None}
    loaded = Config.model_validate(_without_none(flags.overrides(options, given)))
    assert (loaded.seed, loaded.quantize.schemes, loaded.convert.check_passes) == (3, ["int8"], False)
    assert flags.names(options, given) == {"seed": "--seed", "quantize.schemes": "--scheme"}


def _without_none(tables: dict[str, Any]) -> dict[str, Any]:
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in tables.items() if v is not None}
