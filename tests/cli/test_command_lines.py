"""Every command line that we write down is one that the command line takes: in docs, workflows, help and remedies."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml  # type: ignore[import-untyped]

from edgeworthy.cli.app import app
from edgeworthy.errors import BadInput

ROOT = Path(__file__).parents[2]
CI = sorted((ROOT / "samples/ci").glob("*.yml"))
TEXTS = [
    p
    for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("samples/*/*.md"))
    if p.name != "LICENSE"
]
_ROOMS = ("android", "cli", "pipeline", "validate", "source", "export", "convert", "quantize", "kits", "targets")
SOURCES = [p for folder in _ROOMS for p in (ROOT / folder).rglob("*.py")]
UsageError = typer.BadParameter.__mro__[1]
PLACEHOLDERS = {"COMMAND"}
"""What stands for any command."""


def of_texts() -> Iterator[tuple[str, str]]:
    """(where, command line) of fenced blocks and of inline code in the documents."""
    for path in TEXTS:
        text = path.read_text(encoding="utf-8")
        fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
        for line in (line for block in fenced for line in block.splitlines()):
            yield from commands(line, path)
        for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
            yield from commands(code, path)


def of_sources() -> Iterator[tuple[str, str]]:
    """Of the examples in the help, and of code in backticks in strings and docstrings."""
    for path in SOURCES:
        text = path.read_text(encoding="utf-8").replace('\\"', '"')
        for line in re.findall(r'^\s+"?(edgeworthy [a-z].*)$', text, re.M):
            yield from commands(line.rstrip('",'), path)
        for code in re.findall(r"`+(edgeworthy [^`{\n]+)`", text):
            yield from commands(code, path)


def of_workflows() -> Iterator[tuple[str, str]]:
    for path in CI:
        for script in scripts(yaml.safe_load(path.read_text(encoding="utf-8"))):
            for line in script.splitlines():
                yield from commands(line, path)


def scripts(value: Any) -> Iterator[str]:
    """Shell scripts anywhere in a GitHub workflow or a GitLab file."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key in ("run", "script", "before_script", "after_script"):
                yield from [part] if isinstance(part, str) else part
            else:
                yield from scripts(part)
    elif isinstance(value, list):
        for part in value:
            yield from scripts(part)


def commands(line: str, path: Path) -> Iterator[tuple[str, str]]:
    """The calls of edgeworthy in a shell line, without redirections."""
    line = re.sub(r"\s[#(].*", "", line)
    for part in re.split(r"&&|\|\s|;|\bthen\b|\belse\b", line):
        call = re.sub(r"\d?>>?\s*\S+", "", part).strip()
        if call.startswith("edgeworthy ") and not PLACEHOLDERS & set(call.split()):
            yield path.relative_to(ROOT).as_posix(), call


LINES = sorted({*of_texts(), *of_sources(), *of_workflows()})


@pytest.fixture(scope="module")
def group() -> Any:
    return typer.main.get_command(app)


def parse(group: Any, line: str) -> None:
    """As far as the real command line goes before a command runs; of a command's bare name, that there is one.

    Raises:
        UsageError: there is no such command, flag or value.
    """
    _, *arguments = shlex.split(line)
    try:
        if arguments[0].startswith("-"):
            group.make_context("edgeworthy", arguments)
            return
        context = group.make_context("edgeworthy", [], resilient_parsing=True)
        context.resilient_parsing = False
        name, command, rest = group.resolve_command(context, arguments)
        if rest:
            command.make_context(name, rest, parent=context)
    except (typer.Exit, SystemExit):  # of --help and --version
        return


@pytest.mark.parametrize(("where", "line"), LINES, ids=lambda text: text)
def test_it_parses(group: Any, where: str, line: str) -> None:
    parse(group, line)


def test_the_places_where_command_lines_stand_are_found() -> None:
    by_file: dict[str, list[str]] = {}
    for where, line in LINES:
        by_file.setdefault(where, []).append(line)
    assert len(by_file["README.md"]) >= 8
    assert len(by_file["samples/ci/github-workflow.yml"]) == 3
    assert len(by_file["samples/ci/gitlab-ci.yml"]) == 2
    assert sum(where.startswith("cli/") for where, _ in LINES) >= 20


@pytest.mark.parametrize(
    "line",
    [
        "edgeworthy runs x",
        "edgeworthy run x --exportr y",
        "edgeworthy bench x --schemes int8",
        "edgeworthy gate --json",
    ],
)
def test_what_is_wrong_does_not_parse(group: Any, line: str) -> None:
    with pytest.raises((UsageError, BadInput)):
        parse(group, line)


def test_workflows_are_what_their_systems_take() -> None:
    """The keys that GitHub and GitLab need, what has to be kept, and a gate that nothing swallows."""
    github, gitlab = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in CI)
    assert {True, "jobs"} <= set(github), "YAML 1.1 reads the key `on` as true"
    (job,) = github["jobs"].values()
    steps = job["steps"]
    assert all(("uses" in step) != ("run" in step) for step in steps)
    assert all(re.fullmatch(r"actions/[\w/-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    kept = next(step for step in steps if step.get("uses", "").startswith("actions/upload-artifact"))
    assert {"out/report.html", "out/junit.xml"} <= set(kept["with"]["path"].split())
    assert any(step.get("with", {}).get("path") == "out" for step in steps), "the cache"
    gate = next(step for step in steps if "edgeworthy run" in step.get("run", ""))
    assert "if" not in gate and "continue-on-error" not in gate
    assert "||" not in gate["run"]
    job = gitlab["edgeworthy"]
    assert job["artifacts"]["reports"] == {"junit": "out/junit.xml"}
    assert {"out/report.html", "out/summary.md"} <= set(job["artifacts"]["paths"])
    assert job["artifacts"]["when"] == "always"
    assert job["allow_failure"] == {"exit_codes": 4}
    assert job["script"][-1].startswith("edgeworthy run"), "its exit code is the job's"
    assert ["out"] in [cache["paths"] for cache in job["cache"]]
