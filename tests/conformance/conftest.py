"""Prints the conformance table at the end of a pytest run that made it."""

from __future__ import annotations

import pytest

from .suite import Run, table

RUNS = pytest.StashKey[list[Run]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    runs = config.stash.get(RUNS, [])
    if runs:
        terminalreporter.write_sep("-", "ONNX's node tests with TFLite's types")
        for line in table(runs):
            terminalreporter.write_line(line)
