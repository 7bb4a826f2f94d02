"""The pool that the conformance run stands on: results, deaths, hangs and bad starts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from .worker_pool import Death, WorkerPool, WorkerStartError

WORKER = """
import os, sys, time
from edgeworthy.tests.conformance.worker_pool import serve

def handle(job, stage):
    stage("running")
    if job == "abort":
        print("LLVM ERROR: of my own", file=sys.stderr, flush=True)
        os.abort()
    if job == "leave":
        os._exit(3)
    if job == "hang":
        time.sleep(600)
    return (job * 2, os.getpid())

serve(lambda: handle)
"""


@pytest.fixture
def script(tmp_path: Path) -> list[str]:
    return write(tmp_path, WORKER)


def write(folder: Path, program: str) -> list[str]:
    path = folder / "worker.py"
    path.write_text(program)
    return [str(path)]


def test_workers_are_reused(script: list[str]) -> None:
    results = dict(WorkerPool(script, workers=2).run(range(20)))
    assert {job: double for job, (double, _) in results.items()} == {n: 2 * n for n in range(20)}
    assert len({pid for _, pid in results.values()}) <= 2


def test_a_death_or_a_hang_is_a_result_and_the_rest_goes_on(script: list[str]) -> None:
    jobs = ["a", "abort", "b", "hang", "c", "leave", "d"]
    start = time.monotonic()
    results = dict(WorkerPool(script, workers=2, timeout_s=1.0).run(jobs))
    assert time.monotonic() - start < 20
    assert set(results) == set(jobs)
    assert results["abort"] == Death("SIGABRT", "running", "LLVM ERROR: of my own")
    assert results["hang"] == Death("timeout", "running", "")
    assert results["leave"] == Death("exit 3", "running", "")
    assert [results[job][0] for job in "abcd"] == ["aa", "bb", "cc", "dd"]


def test_the_last_job_may_kill_its_worker(script: list[str]) -> None:
    results = dict(WorkerPool(script, workers=1).run(["a", "abort"]))
    assert results["abort"].reason == "SIGABRT"


def test_no_jobs_start_no_worker(tmp_path: Path) -> None:
    assert list(WorkerPool([str(tmp_path / "missing.py")]).run([])) == []


def test_a_worker_that_cannot_start_is_an_error_that_quotes_it(tmp_path: Path) -> None:
    script = write(tmp_path, "raise SystemExit('no such package')")
    with pytest.raises(WorkerStartError, match=r"exit 1(.|\n)*no such package"):
        list(WorkerPool(script).run(["a"]))


def test_a_worker_that_never_gets_ready_is_an_error(tmp_path: Path) -> None:
    script = write(tmp_path, "import time; time.sleep(600)")
    with pytest.raises(WorkerStartError, match="timeout"):
        list(WorkerPool(script, startup_s=0.5).run(["a"]))
