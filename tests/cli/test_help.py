"""The help, as a user asks for it."""

from __future__ import annotations

import os
import re
import resource

import pytest

from .conftest import edgeworthy

COMMANDS = (
    "run", "export", "convert", "quantize", "recommend", "validate", "bench", "compare", "init", "gate", "report",
    "inspect", "samples", "targets", "routes", "doctor", "export-android",
)  # fmt: skip


def test_help_answers_at_once() -> None:
    """CPU time, so that a busy machine doesn't fail it; 0.3 s is what a user may wait."""
    best = 10.0
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = edgeworthy("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert ran.returncode == 0
    assert best < 0.3


def test_help_lists_every_command() -> None:
    text = edgeworthy("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^\s+{command}\s+\S.*[^.]\.$", text, re.M), command


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command: str) -> None:
    text = edgeworthy(command, "--help").stdout
    assert "--json" in text
    assert re.search(rf"Examples:\n +edgeworthy {command}", text)


def test_flags_mean_the_same_everywhere() -> None:
    flags = {}
    for command in ("export", "convert", "quantize", "validate", "bench"):
        flags[command] = set(re.findall(r"--[a-z][a-z-]+", edgeworthy(command, "--help").stdout))
    assert "--scheme" not in flags["export"]
    flags["quantize"].remove("--list")
    flags["convert"].remove("--explain")
    assert flags["export"] < flags["convert"] < flags["quantize"] < flags["validate"] < flags["bench"]


@pytest.mark.parametrize("command", [(), ("routes",), ("targets",), ("compare",)])
@pytest.mark.parametrize("columns", ["60", "100"])
def test_no_sentence_is_cut(command: tuple[str, ...], columns: str) -> None:
    """On a narrow terminal summaries of commands go on in the next line; only a command to copy may be longer."""
    text = edgeworthy(*command, "--help", environment=os.environ | {"COLUMNS": columns}).stdout
    assert not re.search(r"[^\]](\.\.\.|…)$", text, re.M)
    told, _, commands = text.partition("\nCommands:\n")
    long = [line for line in told.splitlines() if len(line) > int(columns) and "edgeworthy " not in line]
    assert not long and all(len(line) <= int(columns) for line in commands.splitlines())
    summaries = re.findall(r"^  \S+ {2,}(.+(?:\n {4,}.+)*)", commands, re.M)
    assert bool(summaries) == (command != ("compare",)) and all(summary.endswith(".") for summary in summaries)
