"""int8 TFLite files for Coral's Edge TPU: by its compiler where that is installed, else by its documentation.

Sources: files and messages of ``edgetpu_compiler`` 16.0, as Coral's documentation shows them; ``rules/edgetpu.toml``.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..artifact import Artifact, Receipt
from ..formats.tflite.operations import Operation, read
from ..schemes import SCHEMES
from .info import TargetInfo
from .offline import OfflineModel, compiled, left_in_float, precision, run_compiler
from .rules import NodeRefusal, find, refused
from .session import LoadedModel, check_kind

_COMPILER = "edgetpu_compiler"
_OPERATOR = "edgetpu-custom-op"
_VERSION = re.compile(r"Edge TPU Compiler version (\S+)")
_MEMORY = re.compile(r"^((?:On|Off)-chip memory .*): (.*)$", re.M)
_ROW = re.compile(r"^([A-Z][A-Z0-9_]*)\s+(\d+)\s+(\S.*)$", re.M)
_MAPPED = "Mapped to Edge TPU"


class EdgeTpu:
    """The compiler, or what is known of it."""

    kind = "tflite"
    name = "edgetpu"

    def version(self) -> str:
        """The compiler's, or that of the rules."""
        return _version()

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Compile a file, or hold it against the rules. Neither estimates a time.

        Raises:
            RuntimeFailure: the compiler refuses the file.
        """
        check_kind(artifact, self.kind, self.name)
        if shutil.which(_COMPILER) is None:
            return OfflineModel(artifact, by_rule(read(artifact.path)))
        with tempfile.TemporaryDirectory(prefix="edgeworthy-") as folder:
            command = [_COMPILER, "--show_operations", f"--out_dir={folder}", str(artifact.path.absolute())]
            said = run_compiler(_COMPILER, command, artifact.path)
            after = next(Path(folder).glob("*_edgetpu.tflite"))
            nodes, taken, partitions, fallback = compiled(artifact.path, after, _OPERATOR)
        operations = read(artifact.path)
        receipt = Receipt(
            asked="Edge TPU",
            ran=f"Edge TPU, compiled by {self.version()}" if taken else "CPU",
            nodes=nodes,
            delegated=taken,
            partitions=partitions,
            precision=precision(operations),
            notes=(*read_log(said), *left_in_float(operations, "edgetpu")),
            fallback=fallback,
        )
        return OfflineModel(artifact, receipt)


def read_log(said: str) -> tuple[str, ...]:
    """Memory, and why operators weren't mapped, of what the compiler printed with ``--show_operations``."""
    memory = [f"{what}: {size}" for what, size in _MEMORY.findall(said)]
    rows = [f"{count} {op}: {status}" for op, count, status in _ROW.findall(said) if status != _MAPPED]
    return (*memory, *rows)


def by_rule(operations: Sequence[Operation]) -> Receipt:
    """What the compiler would take, as far as its documentation tells.

    It maps one part of a model, up to the first operator that it refuses: what comes after one is on the CPU too.
    """
    rules = find("edgetpu")
    refusals = refused(rules, operations)
    left = _after(operations, refusals)
    taken = len(operations) - len(left)
    return Receipt(
        asked="Edge TPU",
        ran="nothing: told by the rules of its documentation" if taken else "CPU",
        nodes=len(operations),
        delegated=taken,
        partitions=min(taken, 1),
        precision=precision(operations),
        notes=(
            f"not compiled: by rule, {rules.source.version}",
            *left_in_float(operations, "edgetpu"),
            *map(str, refusals),
        ),
        fallback=tuple(map(str, left)),
    )


def _after(operations: Sequence[Operation], refusals: Sequence[NodeRefusal]) -> list[Operation]:
    """What is refused, and what needs its results; a model may begin with the quantization of its input."""
    bad = {id(refusal.operation) for refusal in refusals}
    made = {id(t) for operation in operations for t in operation.outputs}
    tainted: set[int] = set()
    left = []
    for operation in operations:
        if id(operation) in bad or any(id(t) in tainted for t in operation.inputs):
            left.append(operation)
            if operation.op != "QUANTIZE" or any(id(t) in made for t in operation.inputs):
                tainted |= {id(t) for t in operation.outputs}
    return left


def _version() -> str:
    if shutil.which(_COMPILER) is None:
        return f"rules of {find('edgetpu').source.date}"
    found = _VERSION.search(run_compiler(_COMPILER, [_COMPILER, "--version"], Path(_COMPILER)))
    return found[1] if found else "unknown"


TARGETS = (
    TargetInfo(
        "edgetpu",
        title="Edge TPU",
        summary="int8 TFLite on Coral's Edge TPU: what its compiler takes, or would by its documentation",
        kind=EdgeTpu.kind,
        module="",
        distributions=(),
        install=f"install {_COMPILER} (Debian package of packages.cloud.google.com, x86-64)",
        make=EdgeTpu,
        measured="estimated",
        schemes=tuple(
            s.name for s in SCHEMES.values() if s.method == "static" and s.weight_bits == s.activation_bits == 8
        ),
        installed=_version,
        computes=False,
    ),
)
