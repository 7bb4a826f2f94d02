"""Where a work list is carried out."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Literal

from .jobs import Job, Reply, Result

Executor = Literal["local", "ray"]


def carry_out_all(
    jobs: Sequence[Job[Reply, Result]], *, executor: Executor, retries: int, timeout_s: float
) -> Generator[Result, None, None]:
    """Yield results in the order of completion, from here or from a Ray cluster; to be closed where it is left early.

    Raises:
        NotAvailable: there is no Ray cluster.
    """
    if executor == "ray":
        from .cluster import carry_out_on_ray

        return carry_out_on_ray(jobs, retries=retries, timeout_s=timeout_s)
    from .queues import carry_out_here

    return carry_out_here(jobs, retries=retries, timeout_s=timeout_s)
