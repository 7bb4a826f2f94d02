"""A module that is given itself, not by name: as a file in OUT that every process of the run can load."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import files
from ..errors import BadInput
from .state import FOLDER

if TYPE_CHECKING:
    import torch

    from ..source.load import Source


@contextmanager
def saved(
    module: torch.nn.Module, output: Path, example_inputs: object, table: Mapping[str, Any], seed: int
) -> Iterator[dict[str, Any]]:
    """Write the module to ``OUT/.edgeworthy`` as a ``torch.export`` program, with its example inputs.

    Its class may be anywhere, ``__main__`` and notebooks included, as the program needs no code of it. The module
    itself is left as it is: a copy is put in eval mode on the CPU.

    Args:
        module: The model.
        output: The folder of the run.
        example_inputs: A tensor, or a tuple or dict of them; None: the module's attribute ``example_inputs``.
        table: The keys of ``[model]`` that were given.
        seed: Of inputs that are generated.

    Yields:
        The table ``[model]`` that names the files. If the run is refused they are gone afterwards.

    Raises:
        BadInput: ``torch.export`` can't capture the module, or its inputs are not known.
    """
    from ..export.program import save_program
    from ..source.load import from_module

    name = type(module).__name__
    if "weights" in table:
        raise BadInput("weights go with a factory; this module has its own", where=name, remedy="leave weights out")
    try:
        copied = copy.deepcopy(module)
    except (RuntimeError, TypeError) as error:
        raise BadInput(
            f"the module can't be copied: {error}", where=name, remedy="give the model as file.py:factory"
        ) from error
    if example_inputs is None:
        example_inputs = getattr(module, "example_inputs", None)
    inputs, values = table.get("inputs") or (), table.get("inputs_file")
    source = from_module(copied, name, example_inputs, inputs=inputs, inputs_file=values, seed=seed)
    made = [p for p in (output / FOLDER, *(output / FOLDER).parents) if not p.exists()]
    program, arrays = (output / FOLDER / f"{name}{suffix}" for suffix in (".pt2", ".npz"))
    try:
        save_program(source, program)
        given = {"inputs_file": _save(source, arrays)} if set(source.given) == {s.name for s in source.inputs} else {}
        yield {"source": str(program), "inputs": [str(s) for s in source.inputs]} | given
    except BadInput:
        for path in (program, arrays):
            path.unlink(missing_ok=True)
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise


def _save(source: Source, path: Path) -> str:
    with files.atomic_file(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **source.examples)
    return str(path)
