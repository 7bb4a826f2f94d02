"""A run from beginning to end, for the command line and for Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..config import Config
from ..errors import BadInput
from ..settings import load_config
from ..validate.results import Report
from ..workers.native import hushed
from .assembly import finish, note
from .in_memory import saved
from .plan import ALL
from .progress import Progress
from .stages import Pipeline

if TYPE_CHECKING:
    import torch


@hushed()
def run(
    source: str | Path | torch.nn.Module,
    output: str | Path,
    *,
    example_inputs: object = None,
    stages: Iterable[str] = ALL,
    config: str | Path | None = None,
    reuse: bool = True,
    force: bool = False,
    **tables: object,
) -> Report:
    """Take a model through ``stages`` into the folder ``output``.

    Args:
        source: ``model.onnx``, ``net.py:factory``, ``sample:NAME`` … (see ``source.load``), or the module itself,
            which then goes through ``torch.export`` (see ``in_memory``).
        output: The folder.
        example_inputs: Of a module: a tensor, or a tuple or dict of them. ``model={"inputs": […]}`` names dimensions
            that are dynamic.
        stages: Those to bring up to date; what they need comes with them.
        config: An ``edgeworthy.toml`` that ``tables`` are laid over.
        reuse: False redoes every stage.
        force: Overwrite files in ``output`` that edgeworthy didn't make.
        tables: The tables of ``edgeworthy.toml`` as keywords, such as ``quantize={"schemes": ["int8"]}``. Its
            ``calibration``, and ``labelled`` of ``validate``, may be the data itself: a ``DataLoader``, a generator, or
            arrays by input name.

    Returns:
        What ``output/report.json`` holds. Of all stages together there are pages, JUnit and manifest too, and
        ``gate`` has the verdict; it is not raised.

    Raises:
        EdgeworthyError: see ``errors``; what is wrong with the input is said before anything is written.
    """
    tables, handed = _handed(tables | {"output": Path(output)})
    model = tables.pop("model", None)
    given = {**model} if isinstance(model, Mapping) else {}
    with ExitStack() as stack:
        if not isinstance(source, (str, Path)):
            plain = load_config(config, tables | {"model": given})
            table = {k: v for k, v in plain.model.model_dump().items() if v is not None}
            given |= stack.enter_context(saved(source, Path(output), example_inputs, table, plain.seed))
        elif example_inputs is not None:
            raise BadInput(
                "example_inputs go with a module",
                where="example_inputs",
                remedy="give the source's inputs as model={'inputs_file': 'inputs.npz'}",
            )
        else:
            given["source"] = str(source)
        loaded = load_config(config, tables | {"model": given})
        return run_config(loaded, stages=stages, reuse=reuse, force=force, handed=handed)


def _handed(tables: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """The tables without the data in them that is given itself, and that: it has no place in a file."""
    left, handed = dict(tables), dict[str, object]()
    for table, key in (("quantize", "calibration"), ("validate", "labelled")):
        given = left.get(table)
        value = given.get(key) if isinstance(given, Mapping) else None
        if isinstance(given, Mapping) and value is not None and not isinstance(value, (str, Path)):
            handed[key] = value
            left[table] = {k: v for k, v in given.items() if k != key}
    return left, handed


def run_config(
    config: Config,
    *,
    stages: Iterable[str] = ALL,
    reuse: bool = True,
    force: bool = False,
    progress: Progress | None = None,
    command: str = "",
    handed: Mapping[str, object] | None = None,
) -> Report:
    """As ``run``, with all in ``config`` but for ``handed`` (see `inputs.Inputs`). ``command`` is for the report.

    A recommendation alone needs no output folder; without one its files are gone at the end.
    """
    wanted = tuple(stages)
    with ExitStack() as stack:
        keeps = config.output is not None or wanted != ("recommend",)
        if not keeps:
            folder = stack.enter_context(TemporaryDirectory(prefix="edgeworthy-"))
            config = config.model_copy(update={"output": Path(folder)})
        pipeline = Pipeline(config, stages=wanted, reuse=reuse, force=force, progress=progress, handed=handed)
        stack.enter_context(pipeline)
        pipeline.bring()
        if pipeline.stages == ALL:
            return finish(pipeline, command=command)
        made = note(pipeline, command=command)
    return made if keeps else _without_files(made)


def _without_files(report: Report) -> Report:
    found = report.recommendation
    told = found.model_copy(update={"written": [], "again": ""}) if found else None
    return report.model_copy(update={"recommendation": told})
