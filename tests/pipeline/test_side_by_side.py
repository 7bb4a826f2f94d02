"""Converters at work at once: what each comes to doesn't depend on it, and all of them end together."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import active_count
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from edgeworthy.config import ArtifactsTable
from edgeworthy.convert.routes import CONVERTERS
from edgeworthy.pipeline.progress import Silent
from edgeworthy.pipeline.side_by_side import Conclusion, Order, convert_all

from . import other_converters as others
from .test_routes import hop, litter, measured


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("net")
    others.save(folder, "net", (1, 3, 8, 6))
    return folder / "net.onnx"


@pytest.fixture
def square(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where converters meet, and for how long they wait."""
    folder = tmp_path / "square"
    folder.mkdir()
    monkeypatch.setenv("EDGE_TOLD", str(folder))
    monkeypatch.setenv("EDGE_PATIENCE", "60")
    return folder


def at_work(folder: Path, *orders: Order, timeout_s: float = 60.0, **table: Any) -> dict[str, Conclusion]:
    folder.mkdir()
    before = active_count()
    found = convert_all(orders, folder, ArtifactsTable(**table), timeout_s=timeout_s, progress=Silent())
    assert active_count() == before
    return found


def order(name: str, net: Path, before: int | None = None) -> Order:
    return Order(CONVERTERS.find(name, where="here"), net, before)


def test_they_work_at_once_and_their_files_are_those_of_one_by_one(square: Path, net: Path, tmp_path: Path) -> None:
    """Each of the first two waits for the other; in the report they are in the order that was asked for."""
    together = measured(net, tmp_path / "together", "meets", "raises", "greets", jobs=3)
    for path in square.iterdir():
        path.unlink()
    (square / "one").touch()
    alone = measured(net, tmp_path / "alone", "meets", "raises", "greets", jobs=1)
    made = [[(a.name, a.sha256) for a in report.artifacts if a.made_by] for report in (together, alone)]
    assert made[0] == made[1] and [name for name, _ in made[0]] == ["route:meets", "route:greets"]
    for report, beside in ((together, {1, 2}), (alone, {0})):
        assert {a.beside for a in report.artifacts if a.made_by} <= beside
        assert all(a.cpu_seconds and 0 < a.cpu_seconds < 60 for a in report.artifacts if a.made_by)
        assert "no rule for Conv" in hop(report, "route:raises").failure
    assert not litter(tmp_path / "together")


def test_what_memory_has_no_room_for_waits(
    square: Path, net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either should need 1.5 GB: of 2 GB the second has nothing until the first has given up."""
    monkeypatch.setenv("EDGE_PATIENCE", "0.5")
    found = at_work(tmp_path / "work", order("meets", net), order("greets", net), jobs=2, memory_gb=2.0)
    with pytest.raises(Exception, match="nobody came"):
        found["meets"].result()
    assert found["greets"].result().file.artifact.path.exists()
    assert [found[name].beside for name in ("meets", "greets")] == [0, 0]


def test_what_took_too_much_in_company_is_tried_again_alone(package: Path, net: Path, tmp_path: Path) -> None:
    """An earlier peak of 40 MB promised 50; it takes 256."""
    found = at_work(tmp_path / "work", order("greedy", net, 40_000_000), order("plain", net), jobs=2, memory_gb=3.0)
    assert found["greedy"].limit == 3_000_000_000 and found["greedy"].beside == 0
    assert found["greedy"].result().peak_bytes > 256 << 20
    assert found["plain"].result().file.artifact.path.exists()


def test_a_hang_is_a_hang_alone_too(package: Path, net: Path, tmp_path: Path) -> None:
    found = at_work(tmp_path / "work", order("hangs", net), order("raises", net), jobs=2, timeout_s=2.0)
    for name, said in (("hangs", "took more than 2 s"), ("raises", "no rule for Conv")):
        with pytest.raises(Exception, match=said):
            found[name].result()


@pytest.mark.parametrize("many", [False, True])
def test_an_interrupt_ends_them_all(square: Path, net: Path, tmp_path: Path, many: bool) -> None:
    """Those of one model, and those of a list of models, each of which has a process of its own in between."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "edgeworthy", "compare", str(net.parent if many else net), "-o", str(out)]
    command += ["--route", "begins,lingers", "--jobs", "2", "--target", "onnxruntime,tflite"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(list(square.iterdir())) < 2:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 3
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (130, "")
    assert stderr == "error: interrupted, nothing half-written; the same command goes on from here\n"
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == [] and not litter(out)
