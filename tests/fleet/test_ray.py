"""The work list on a real Ray cluster of two nodes, each a set of processes of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeworthy import files
from edgeworthy.errors import NotAvailable
from edgeworthy.fleet.compared import compare_all
from edgeworthy.fleet.plan import configured, read_plan, read_sources
from edgeworthy.fleet.run import run_fleet

from .conftest import save_model

DEVICES = """
[[device]]
name = "here"
target = "tflite"
seconds = 0.05
[[device]]
name = "there"
target = "tflite"
seconds = 0.05
resource = "lab-2"
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    import ray  # not above: it finds other packages' folders called tests while these are collected
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.lab = nodes.add_node(num_cpus=1, resources={"lab-2": 1})
    ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def test_jobs_run_on_the_machine_that_has_the_device(cluster: Any, models: Path, tmp_path: Path) -> None:
    (tmp_path / "devices.toml").write_text(DEVICES)
    plan = read_plan(tmp_path / "devices.toml", [str(models)])
    report = run_fleet(plan, tmp_path / "out", executor="ray")
    assert [(r.model, r.device.name, r.status) for r in report.results] == [
        (model, device, "pass") for model in ("abs", "relu") for device in ("here", "there")
    ]
    assert report.executor == "ray" and all(r.rows[0].p50_ms for r in report.results)


def test_a_resource_that_no_machine_has(cluster: Any, models: Path, tmp_path: Path) -> None:
    (tmp_path / "devices.toml").write_text(DEVICES.replace("lab-2", "lab-9"))
    plan = read_plan(tmp_path / "devices.toml", [str(models)])
    with pytest.raises(NotAvailable, match="no machine of the cluster has the resource 'lab-9'"):
        run_fleet(plan, tmp_path / "out", executor="ray")


def test_models_are_compared_on_all_machines(cluster: Any, models: Path, tmp_path: Path) -> None:
    """The files come back, and the report names the sources of here."""
    sources, out = read_sources(str(models)), tmp_path / "out"
    tables = {"targets": ["onnxruntime", "tflite"], "bench": {"seconds": 0.05}}
    configs = {model.name: configured(model, out / model.name, tables) for model in sources.model}
    report = compare_all(sources, configs, out, routes=["direct"], executor="ray")
    assert [(r.model, r.status, r.source) for r in report.results] == [
        (name, "pass", str(models / f"{name}.onnx")) for name in ("abs", "relu")
    ]
    for name, found in report.found.items():
        made = out / name / found.rows[0].path
        assert files.sha256(made) == found.rows[0].sha256 and found.source == str(models / f"{name}.onnx")
    again = compare_all(sources, configs, out, routes=["direct"], executor="ray")
    assert all(r.taken_over for r in again.results) and again.found == report.found


def test_a_machine_that_is_lost_loses_no_other_results(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "devices.toml").write_text(DEVICES.replace("seconds = 0.05\nresource", "seconds = 600\nresource"))
    # Large: the turns of a small model end by their number, long before these seconds.
    save_model(tmp_path / "abs.onnx", "Abs", [1000, 1000])
    plan = read_plan(tmp_path / "devices.toml", [str(tmp_path / "abs.onnx")])

    class Killer:
        """Ends the other machine once the first result is in."""

        def stage(self, name: str, what: str = "") -> Any:
            import contextlib

            return contextlib.nullcontext()

        def step(self, what: str, done: int, total: int) -> None:
            if what == "abs on here":
                cluster.remove_node(cluster.lab, allow_graceful=False)

        def taken_over(self, seconds: float) -> None: ...

        def warn(self, text: str) -> None: ...

    report = run_fleet(plan, tmp_path / "out", executor="ray", progress=Killer())
    assert {r.device.name: r.status for r in report.results} == {"here": "pass", "there": "fail"}
    assert "lost" in report.results[1].cause and report.exit_code == 1
