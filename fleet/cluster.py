"""The same work list on a Ray cluster (https://docs.ray.io): an actor for every queue, where its device is.

A machine says what hangs on it by a custom resource, ``ray start --resources '{"lab-2": 1}'``, and ``devices.toml``
names it as ``resource``. Jobs that every machine will do for have an actor on each that has a processor, which takes
the next one when it is free. The model's bytes travel with the job; edgeworthy has to be installed on every machine.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections import deque
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from ..errors import EdgeworthyError, InternalFault, NotAvailable
from ..formats.model_files import model_files
from ..workers.scratch import Scratch
from .jobs import Job, Reply, Result, carry_out, failed
from .queues import by_queue


def carry_out_on_ray(
    jobs: Sequence[Job[Reply, Result]], *, retries: int, timeout_s: float
) -> Generator[Result, None, None]:
    """Yield results in the order of completion. A machine that is lost is a failure of the jobs that need it.

    Uses the cluster of ``RAY_ADDRESS``, else the one that runs here, else one that it starts.

    Raises:
        NotAvailable: Ray isn't installed, the cluster can't be reached, or none of its machines has a resource.
    """
    ray = _ray()
    _check_resources(ray, jobs)
    queues = [deque(queue) for queue in by_queue(jobs).values()]
    actors = [(actor, queue) for queue in queues for actor in _actors(ray, queue[0], len(queue))]
    idle, pending = deque(range(len(actors))), {}
    try:
        while True:
            while idle:
                at = idle.popleft()
                actor, queue = actors[at]
                if queue:
                    job = queue.popleft()
                    packed = ray.put(_packed(job.ships)) if job.ships else b""
                    pending[actor.carry_out.remote(job, packed, retries, timeout_s)] = at, job
            if not pending:
                break
            ready, _ = ray.wait(list(pending), num_returns=1)
            at, job = pending.pop(ready[0])
            try:
                yield _brought(job, *ray.get(ready[0]))
            except ray.exceptions.RayActorError as error:
                lost = f"the machine or its worker was lost: {str(error).splitlines()[0]}"
                yield failed(job, lost)
                queue = actors[at][1]
                if not any(actors[other][1] is queue for other, _ in pending.values()):
                    yield from (failed(left, lost) for left in queue)
                    queue.clear()
            except ray.exceptions.RayTaskError as error:
                raise InternalFault(f"a job raised on the cluster: {error}") from error
            else:
                idle.append(at)
    finally:
        for actor, _ in actors:
            ray.kill(actor)


class _Queue:
    """Carries out jobs one after the other on the machine where it lives."""

    def carry_out(self, job: Job[Reply, Result], packed: bytes, retries: int, timeout_s: float) -> tuple[Result, bytes]:
        with Scratch() as folder:
            if packed:
                with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
                    archive.extractall(folder, filter="data")
            here = job.placed(Path(folder))
            result = carry_out(here, retries=retries, timeout_s=timeout_s)
            made = here.brings
            return result, _folder(made) if made and made.is_dir() else b""


def _actors(ray: Any, job: Job[Reply, Result], most: int) -> list[Any]:
    """Those that take the jobs of one queue."""
    options: list[dict[str, Any]] = [{"resources": {job.resource: 1}} if job.resource else {}]
    if job.anywhere:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        options = [
            {"scheduling_strategy": NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)}
            for node in nodes[:most]
        ]
    return [ray.remote(num_cpus=1, max_restarts=0, **each)(_Queue).remote() for each in options]


def _brought(job: Job[Reply, Result], result: Result, packed: bytes) -> Result:
    try:
        return job.brought(result, packed)
    except EdgeworthyError as error:
        return failed(job, str(error))


def _folder(folder: Path) -> bytes:
    """All that is in a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name)
    return buffer.getvalue()


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


def _check_resources(ray: Any, jobs: Sequence[Job[Reply, Result]]) -> None:
    """A resource that no machine has would be waited for without end."""
    there = ray.cluster_resources()
    missing = sorted({job.resource for job in jobs if job.resource} - set(there))
    if missing:
        raise NotAvailable(
            f"no machine of the cluster has the resource {missing[0]!r}",
            where="devices.toml",
            remedy=f"""start its machine with: ray start --address … --resources '{{"{missing[0]}": 1}}'""",
        )
