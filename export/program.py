"""``torch.export`` programs: a module in memory as a file that other processes can run without the module's code."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..errors import BadInput, CheckFailed
from ..source.example_inputs import dynamic_sizes, resized
from ..source.load import Source
from ..source.torch_names import flatten_outputs, require_torch
from .errors import explained
from .quiet import quiet


def save_program(source: Source, path: Path) -> None:
    """Capture the module of ``source``, hold the program against it on the examples, and write it to ``path`` (.pt2).

    Raises:
        BadInput: torch.export can't capture it, or not with these dynamic dimensions; the folder can't be written.
        CheckFailed: the program computes something else than the module.
    """
    torch = require_torch()
    sizes = dynamic_sizes(source.inputs, source.examples)
    # Extents of 1 are raised for tracing: PyTorch may take them for broadcasting.
    args, kwargs = source.arguments(resized(source.inputs, source.examples, {d: max(2, n) for d, n in sizes.items()}))
    dims = {name: torch.export.Dim(name) for name in sizes}
    axes = {s.name: {a: dims[d] for a, d in enumerate(s.shape) if isinstance(d, str)} for s in source.inputs}
    module = source.module
    if module is None:
        raise ValueError("the source has no module")
    bound = inspect.signature(module.forward).bind(
        *(axes[name] for name in source.positional), **{name: axes[name] for name in kwargs}
    )
    try:
        with quiet(), explained(source, "dynamo"), torch.no_grad():
            program = torch.export.export(module, args, kwargs, dynamic_shapes=bound.arguments if dims else None)
    except BadInput as error:
        error.details = (*error.details, "a module in memory has to go through torch.export; file.py:factory need not")
        raise
    _check(source, program.module())
    with files.atomic_file(path) as part, quiet():  # it warns that the part's name doesn't end in .pt2
        torch.export.save(program, part)


def _check(source: Source, captured: object) -> None:
    torch = require_torch()
    args, kwargs = source.arguments(source.examples)
    wanted = source.run(source.examples)
    with torch.no_grad():
        got = flatten_outputs(captured(*args, **kwargs), source.spec)  # type: ignore[operator]
    for (name, want), tensor in zip(wanted.items(), got.values(), strict=True):
        scale = float(np.abs(want).max(initial=0)) if want.dtype.kind == "f" else 0
        if not np.allclose(tensor.float() if scale else tensor, want, rtol=1e-4, atol=1e-5 * scale, equal_nan=True):
            raise CheckFailed(
                f"what torch.export captured computes another {name!r} than the module",
                where=source.spec,
                remedy="give the model as file.py:factory, which is run as it is",
            )


@contextmanager
def overloads_of_onnx() -> Iterator[None]:
    """Meanwhile a program that is taken apart gets other forms of operators, of the same values.

    - A view becomes a reshape. PyTorch lays the result of attention out in one way when it captures, and in another
      when it runs through the graph again: a view of the one is none of the other.
    - A stable sort, which the exporter lacks, becomes a sort: that is ONNX's TopK, which is stable.

    And what an earlier export in this process left is forgotten: PyTorch 2.13 keeps the kernel that it took for an
    operator, and with that of before it writes all steps of a recurrent layer out, whose length is fixed then.
    """
    torch = require_torch()
    program, aten = torch.export.ExportedProgram, torch.ops.aten
    for layer in (aten.gru, aten.lstm, aten.rnn_relu, aten.rnn_tanh):
        for kind in (layer.data, layer.input):
            kind._dispatch_cache.clear()
    decompose = program.run_decompositions

    def decomposed(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = decompose(self, *args, **kwargs)
        modules = (m for m in made.graph_module.modules() if isinstance(m, torch.fx.GraphModule))  # branches too
        for node in (node for module in modules for node in module.graph.nodes):
            if node.target is aten.view.default:
                node.target = aten.reshape.default
            elif node.target is aten.sort.stable:
                node.target = aten.sort.default
                node.kwargs = {name: value for name, value in node.kwargs.items() if name != "stable"}
        return made

    program.run_decompositions = decomposed
    try:
        yield
    finally:
        program.run_decompositions = decompose
