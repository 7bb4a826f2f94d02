"""The worker of a fuzz run: takes cases, or numbers of cases, and judges them.

Arguments: the artifact, the corpus' file, GiB of memory.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

from ..conformance.adapters import warm_up
from ..conformance.worker_pool import Handler, Stage, serve
from .cases import Case, make_case
from .corpus import saved_corpus
from .judge import Outcome, judge


def main() -> None:
    artifact, corpus_file, gibibytes = sys.argv[1:]

    def prepare() -> Handler:
        warm_up(artifact)
        import onnxruntime  # noqa: F401

        corpus = saved_corpus(Path(corpus_file))
        most = int(float(gibibytes) * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        def handle(job: int | Case, stage: Stage) -> Outcome:
            case = job if isinstance(job, Case) else make_case(corpus, job)
            with tempfile.TemporaryDirectory() as folder:
                return judge(case, artifact, Path(folder), stage)

        return handle

    serve(prepare)


if __name__ == "__main__":
    main()
