"""A run from beginning to end, for the command line and for Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ..config import Config
from ..settings import load_config
from ..validate.results import Report
from .assembly import finish, note
from .plan import ALL
from .progress import Progress
from .stages import Pipeline


def run(
    source: str,
    output: Path | str,
    *,
    stages: Iterable[str] = ALL,
    config: Path | str | None = None,
    reuse: bool = True,
    force: bool = False,
    **tables: object,
) -> Report:
    """Take a model through ``stages`` into the folder ``output``.

    Args:
        source: ``model.onnx``, ``net.py:factory``, ``sample:NAME`` … (see ``source.load``).
        output: The folder.
        stages: Those to bring up to date; what they need comes with them.
        config: An ``edgeworthy.toml`` that ``tables`` are laid over.
        reuse: False redoes every stage.
        force: Overwrite files in ``output`` that edgeworthy didn't make.
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
    return run_config(load_config(config, over), stages=stages, reuse=reuse, force=force)


def run_config(
    config: Config,
    *,
    stages: Iterable[str] = ALL,
    reuse: bool = True,
    force: bool = False,
    progress: Progress | None = None,
    command: str = "",
) -> Report:
    """As ``run``, with everything in ``config``. ``command`` is for the report."""
    with Pipeline(config, stages=stages, reuse=reuse, force=force, progress=progress) as pipeline:
        pipeline.bring()
        if pipeline.stages == ALL:
            return finish(pipeline, command=command)
        return note(pipeline, command=command)
