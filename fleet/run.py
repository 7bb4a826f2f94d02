"""From a plan to the report of a fleet: models made, jobs carried out, results kept as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from ..artifact import Artifact, OnnxModel
from ..config import Config
from ..errors import BadInput, EdgeworthyError
from ..formats.model_files import sha256
from ..pipeline.cache import Workspace
from ..pipeline.progress import Progress, Silent
from ..targets import find
from ..workers.native import hushed
from .executors import Executor, carry_out_all
from .plan import FleetModel, FleetPlan, configured
from .report import FleetReport, earlier, write, write_json
from .timing import TimingJob

Configure = Callable[[FleetModel, Path], Config]


def run_fleet(
    plan: FleetPlan,
    output: Path,
    *,
    executor: Executor = "local",
    reuse: bool = True,
    force: bool = False,
    progress: Progress | None = None,
    command: str = "",
    configure: Configure = configured,
) -> FleetReport:
    """Time every model of a plan on every device that runs a file of it.

    A model that can't be made, a device that is gone, a job that fails: each is a result, and the others go on. Every
    result is written as it comes, and the next run goes on from there.

    Args:
        plan: See ``plan.read_plan``.
        output: Folder: ``models/`` the files, ``fleet.json``, ``fleet.md`` and ``fleet.html`` the report.
        executor: ``local`` or ``ray``.
        reuse: False times again what an earlier run timed.
        force: Overwrite pages that edgeworthy didn't make.
        configure: Gives the configuration that a model is made by, in a folder.

    Raises:
        BadInput: the folder can't be used, or nothing of the plan can run anywhere.
        NotAvailable: there is no Ray cluster.
    """
    with Workspace(output):
        return _run(plan, output, executor, progress or Silent(), configure, reuse=reuse, force=force, command=command)


def _run(
    plan: FleetPlan,
    output: Path,
    executor: Executor,
    progress: Progress,
    configure: Configure,
    *,
    reuse: bool,
    force: bool,
    command: str,
) -> FleetReport:
    before = earlier(output, force=force)
    known = {result.key: result for result in before.results if result.status == "pass"} if before and reuse else {}
    with progress.stage("models"):
        jobs, failures, idle = _planned(plan, output, progress, configure)
    if not jobs and not failures:
        raise BadInput("no device runs any of the models", details=idle, remedy="add a target that runs their files")
    report = FleetReport.begun(command=command, executor=executor, plan=plan, failures=failures, notes=idle)
    report = report.model_copy(update={"results": [known[job.key] for job in jobs if job.key in known]})
    left = [job for job in jobs if job.key not in known]
    write_json(report, output)
    with (
        closing(carry_out_all(left, executor=executor, retries=plan.retries, timeout_s=plan.timeout_s)) as results,
        progress.stage("bench", f"{len(left)} jobs on {len(plan.device)} devices"),
    ):
        for count, result in enumerate(results, 1):
            progress.step(f"{result.model} on {result.device.name}", count, len(left))
            report = report.model_copy(update={"results": [*report.results, result]})
            write_json(report, output)
    order = {job.key: k for k, job in enumerate(jobs)}
    finished = report.model_copy(
        update={"results": sorted(report.results, key=lambda r: order[r.key]), "finished": datetime.now(UTC)}
    )
    write(finished, output)
    return finished


def _planned(
    plan: FleetPlan, output: Path, progress: Progress, configure: Configure
) -> tuple[list[TimingJob], dict[str, str], list[str]]:
    """The jobs; models that can't be made, and why; and pairs that have nothing to run."""
    jobs: list[TimingJob] = []
    failures: dict[str, str] = {}
    idle: list[str] = []
    for count, model in enumerate(plan.model):
        progress.step(model.name, count, len(plan.model))
        try:
            files = list(_files(model, output / "models" / model.name, configure))
        except EdgeworthyError as error:
            failures[model.name] = str(error)
            continue
        hashes = {artifact.path: sha256(artifact.path) for artifact in files}
        for device in plan.device:
            taken = [artifact for artifact in files if find(device.target).takes(artifact)]
            jobs += [TimingJob(model.name, artifact.path, hashes[artifact.path], device) for artifact in taken]
            if not taken:
                idle.append(f"{model.name} has no file that {device.name} ({device.target}) runs")
    return jobs, failures, idle


def _files(model: FleetModel, folder: Path, configure: Configure) -> Iterator[Artifact]:
    """The files of a model; those that are made lie in ``folder``."""
    from ..pipeline.run import run_config
    from ..pipeline.subjects import to_artifact
    from ..source.model_files import converted_kind, read

    config = configure(model, folder)
    if converted_kind(model.source) is not None and not config.quantize.schemes:
        yield read(Path(model.source)).artifact
        return
    with hushed():
        report = run_config(config, stages=("quantize" if config.quantize.schemes else "convert",))
    graph = Path(model.source) if model.source.endswith(".onnx") else folder / "model.onnx"
    if graph.is_file():
        yield OnnxModel(graph, (), ())
    yield from (to_artifact(artifact, folder) for artifact in report.artifacts if artifact.kind != "onnx")
