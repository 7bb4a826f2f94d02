"""A run from beginning to end, for the command line and for Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..config import Config, load
from ..validate.results import Report
from .assembly import finish, note
from .progress import Progress
from .stages import STAGES, Pipeline


def run(
    source: str,
    output: Path | str,
    *,
    stages: Sequence[str] = STAGES,
    config: Path | str | None = None,
    reuse: bool = True,
    **tables: object,
) -> Report:
    """Take a model through ``stages`` into the folder ``output``.

    Args:
        source: ``model.onnx``, ``net.py:factory``, ``sample:NAME`` … (see ``source.load``).
        output: The folder.
        stages: Those to bring up to date; what they need comes with them.
        config: An ``edgeworthy.toml`` that ``tables`` are laid over.
        reuse: False redoes every stage.
        tables: The tables of ``edgeworthy.toml`` as keywords, such as ``quantize={"schemes": ["int8"]}``.

    Returns:
        What ``output/report.json`` holds. Of all stages together there are pages, JUnit and manifest too, and
        ``gate`` has the verdict; it is not raised.

    Raises:
        EdgeworthyError: see ``errors``; what is wrong with the input is said before anything is written.
    """
    model = tables.get("model")
    given = dict(model) if isinstance(model, Mapping) else {}
    over = tables | {"model": given | {"source": source}, "output": Path(output)}
    return run_config(load(Path(config) if config else None, over), stages=stages, reuse=reuse)


def run_config(
    config: Config,
    *,
    stages: Sequence[str] = STAGES,
    reuse: bool = True,
    progress: Progress | None = None,
    command: str = "",
) -> Report:
    """As ``run``, with everything in ``config``. ``command`` is for the report."""
    with Pipeline(config, stages=stages, reuse=reuse, progress=progress) as pipeline:
        pipeline.bring()
        if tuple(stages) == STAGES:
            return finish(pipeline, command=command)
        return note(pipeline, command=command)
