"""The same work list on a Ray cluster (https://docs.ray.io): an actor for every queue, where its device is.

A machine says what hangs on it by a custom resource, ``ray start --resources '{"lab-2": 1}'``, and ``devices.toml``
names it as ``resource``. The model's bytes travel with the job; edgeworthy has to be installed on every machine.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import InternalFault, NotAvailable
from ..formats.model_files import model_files
from ..workers.scratch import Scratch
from .jobs import Attempt, Job, JobResult, carry_out
from .queues import by_queue


def carry_out_on_ray(jobs: Sequence[Job], *, retries: int, timeout_s: float) -> Iterator[JobResult]:
    """Yield results in the order of completion. A machine that is lost is a failure of its jobs alone.

    Uses the cluster of ``RAY_ADDRESS``, else the one that runs here, else one that it starts.

    Raises:
        NotAvailable: Ray isn't installed, the cluster can't be reached, or none of its machines has a resource.
    """
    ray = _ray()
    _check_resources(ray, jobs)
    actors, pending = [], {}
    for queue in by_queue(jobs).values():
        resource = queue[0].device.resource
        options = {"resources": {resource: 1}} if resource else {}
        actor = ray.remote(num_cpus=1, max_restarts=0, **options)(_Queue).remote()
        actors.append(actor)
        for job in queue:
            packed = ray.put(_packed(job.file))
            pending[actor.carry_out.remote(job, packed, retries, timeout_s)] = job
    try:
        while pending:
            ready, _ = ray.wait(list(pending), num_returns=1)
            job = pending.pop(ready[0])
            try:
                yield JobResult.model_validate_json(ray.get(ready[0]))
            except ray.exceptions.RayActorError as error:
                yield _lost(job, f"the machine or its worker was lost: {str(error).splitlines()[0]}")
            except ray.exceptions.RayTaskError as error:
                raise InternalFault(f"a job raised on the cluster: {error}") from error
    finally:
        for actor in actors:
            ray.kill(actor)


class _Queue:
    """Carries out the jobs of one queue, one after the other, on the machine where it lives."""

    def carry_out(self, job: Job, packed: bytes, retries: int, timeout_s: float) -> str:
        with Scratch() as folder:
            with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
                archive.extractall(folder, filter="data")
            here = replace(job, file=Path(folder) / job.file.name)
            return carry_out(here, retries=retries, timeout_s=timeout_s).model_dump_json()


def _packed(file: Path) -> bytes:
    """A model's files, each where it lies from the folder of the first."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for part in model_files(file):
            archive.add(part, arcname=part.relative_to(file.parent).as_posix())
    return buffer.getvalue()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise NotAvailable(
            "Ray is not installed", where="--executor ray", remedy="pip install 'edgeworthy[ray]'"
        ) from error
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its maker
        try:
            ray.init(logging_level="ERROR", log_to_driver=False)
        except (ConnectionError, RuntimeError, TimeoutError) as error:
            raise NotAvailable(
                f"the Ray cluster can't be reached: {error}",
                where="--executor ray",
                remedy="set RAY_ADDRESS to a running cluster, or unset it to start one here",
            ) from error
    return ray


def _check_resources(ray: Any, jobs: Sequence[Job]) -> None:
    """A resource that no machine has would be waited for without end."""
    there = ray.cluster_resources()
    missing = sorted({job.device.resource for job in jobs if job.device.resource} - set(there))
    if missing:
        raise NotAvailable(
            f"no machine of the cluster has the resource {missing[0]!r}",
            where="devices.toml",
            remedy=f"""start its machine with: ray start --address … --resources '{{"{missing[0]}": 1}}'""",
        )


def _lost(job: Job, cause: str) -> JobResult:
    return JobResult(
        model=job.model,
        file=job.file.name,
        sha256=job.sha256,
        device=job.device,
        measured=job.device.measured,
        status="fail",
        attempts=[Attempt(status="fail", cause=cause, seconds=0.0)],
    )
