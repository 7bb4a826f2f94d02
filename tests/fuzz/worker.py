"""What a child of a fuzz run serves: takes cases, or numbers of cases, and judges them."""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

from edgeworthy.workers.serve import Commands, Tell

from ..conformance.adapters import warm_up
from .cases import Case, make_case
from .corpus import saved_corpus
from .judge import Outcome, judge


def start(tell: Tell, artifact: str, corpus_file: Path, gibibytes: float) -> Commands:
    """Import what makes and runs ``artifact``, and limit the private memory."""
    warm_up(artifact)
    import onnxruntime  # noqa: F401

    corpus = saved_corpus(corpus_file)
    most = int(gibibytes * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))

    def run(job: int | Case) -> Outcome:
        case = job if isinstance(job, Case) else make_case(corpus, job)
        with tempfile.TemporaryDirectory() as folder:
            return judge(case, artifact, Path(folder), tell)

    return {"run": run}
