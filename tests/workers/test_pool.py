"""Many jobs over several children: results, deaths, hangs, raises and bad starts."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from edgeworthy.errors import RuntimeFailure
from edgeworthy.workers.child import TIMEOUT, Death
from edgeworthy.workers.pool import Pool
from edgeworthy.workers.serve import Raised

SERVED = """
import os, sys, time

def start(tell, factor=2):
    def run(job):
        tell("thinking")
        tell("running")
        if job == "abort":
            print("LLVM ERROR: of my own", file=sys.stderr, flush=True)
            os.abort()
        if job == "leave":
            os._exit(3)
        if job == "hang":
            time.sleep(600)
        if job == "raise":
            raise ArithmeticError("no such job")
        return (job * factor, os.getpid())

    return {"run": run}
"""


def pool(folder: Path, program: str = SERVED, *arguments: object, **options: object) -> Pool:
    (folder / "served.py").write_text(program)
    return Pool("served", arguments, path=[str(folder), *sys.path], **options)  # type: ignore[arg-type]


def test_children_are_reused(tmp_path: Path) -> None:
    results = dict(pool(tmp_path, SERVED, 3).run(range(20)))
    assert {job: product for job, (product, _) in results.items()} == {n: 3 * n for n in range(20)}
    assert len({pid for _, pid in results.values()}) <= 2


def test_a_death_a_hang_or_a_raise_is_a_result_and_the_rest_goes_on(tmp_path: Path) -> None:
    jobs = ["a", "abort", "b", "hang", "c", "leave", "d", "raise", "e"]
    start = time.monotonic()
    results = dict(pool(tmp_path, timeout_s=1.0).run(jobs))
    assert time.monotonic() - start < 30
    assert set(results) == set(jobs)
    for job, reason, said in (
        ("abort", "SIGABRT", ("LLVM ERROR: of my own",)),
        ("hang", TIMEOUT, ()),
        ("leave", "exit code 3", ()),
    ):
        death = results[job]
        assert isinstance(death, Death)
        assert (death.reason, death.stage, death.said) == (reason, "running", said)
    for job in ("abort", "hang"):  # where in the user's code it was
        assert results[job].frames[0].startswith(f"{tmp_path / 'served.py'}:")
        assert results[job].frames[0].endswith(" in run")
    assert isinstance(results["raise"], Raised)
    assert results["raise"].text == "ArithmeticError: no such job"
    assert [results[job][0] for job in "abcde"] == ["aa", "bb", "cc", "dd", "ee"]


def test_a_raise_does_not_end_the_child(tmp_path: Path) -> None:
    results = dict(pool(tmp_path, children=1).run(["a", "raise", "b"]))
    assert results["a"][1] == results["b"][1]


@pytest.mark.parametrize("last", ["abort", "hang"])
def test_the_last_job_may_kill_its_child(tmp_path: Path, last: str) -> None:
    results = dict(pool(tmp_path, children=1, timeout_s=1.0).run(["a", last]))
    assert isinstance(results[last], Death)


def test_no_jobs_start_no_child(tmp_path: Path) -> None:
    assert list(Pool("no_such_module").run([])) == []


def test_a_child_that_cannot_start_is_an_error_that_quotes_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match=r"ended with exit code 1 in start(.|\n)*no such package"):
        list(pool(tmp_path, "raise SystemExit('no such package')").run(["a"]))
    with pytest.raises(RuntimeFailure, match="raised in start: ModuleNotFoundError"):
        list(Pool("no_such_module").run(["a"]))


def test_a_child_that_never_gets_ready_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match="hung: start took more than 3 s"):
        list(pool(tmp_path, "import time; time.sleep(600)", start_s=3.0).run(["a"]))
