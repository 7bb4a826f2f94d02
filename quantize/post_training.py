"""Post-training quantization: a float TFLite model becomes one with fewer bits.

The quantizer and the interpreter run in a process of their own (``worker``); its death is an error that says how it
died, and the output appears complete or not at all.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ..artifact import Feeds, TFLiteModel
from ..errors import BadInput, RuntimeFailure
from ..files import atomic_file
from ..formats.tflite.summary import describe
from ..schemes import FLOAT32, IO_DTYPES, QUANTIZED, Scheme, get_scheme
from .calibration import CalibrationSet, no_calibration
from .exclusion import check_patterns
from .float_ops import FloatOp
from .messages import Answer, Failure, Request

if TYPE_CHECKING:
    from ..artifact import Array

Progress = Callable[[int, int], None]
"""Called with the calibration feeds done, and how many there are."""

TIMEOUT_S = 900.0
"""Seconds without an answer after which the worker counts as hung."""

_TAIL_LINES = 12


@dataclass(frozen=True)
class Quantized:
    """A quantized model and how it came about.

    Attributes:
        model: The file.
        scheme: The scheme's decodable name.
        engine: What quantized it, with its version.
        io_dtype: Dtype of the float model's float inputs and outputs.
        float_ops: Operators that stayed float, or whose weights did.
        seconds: Wall-clock time, calibration included.
        calibration: Where the ranges come from; None for schemes without calibration.
        samples: Calibration samples used.
        fit_for_deployment: False if the ranges come from noise.
        notes: What else is worth knowing.
    """

    model: TFLiteModel
    scheme: str
    engine: str
    io_dtype: str
    float_ops: tuple[FloatOp, ...]
    seconds: float
    calibration: str | None = None
    samples: int = 0
    fit_for_deployment: bool = True
    notes: tuple[str, ...] = ()


def quantize(
    model: TFLiteModel,
    output: Path,
    *,
    scheme: str,
    calibration: CalibrationSet | None = None,
    io_dtype: str = "float32",
    permute: Mapping[str, tuple[int, ...]] | None = None,
    exclude: Sequence[str] = (),
    modules: Mapping[str, str] | None = None,
    example: Feeds | None = None,
    threads: int = 1,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
) -> Quantized:
    """Quantize a float TFLite model.

    Args:
        model: The float model.
        output: The ``.tflite`` file to write.
        scheme: A name of ``schemes.SCHEMES`` or an alias.
        calibration: Samples in the source model's layout; a static scheme needs them.
        io_dtype: float32, int8 or uint8, for a static scheme: what its float inputs and outputs become. With
            float32 there is a QUANTIZE behind each input and a DEQUANTIZE before each output.
        permute: Input name → axes, where the TFLite input is the source's transposed by them.
        exclude: Patterns of operators that stay float (see ``exclusion``).
        modules: Name of a value of the source's graph → path of its PyTorch module, for ``exclude``.
        example: Inputs in the source model's layout that the result is tried on, where there are no samples. Without
            them it is tried on zeros, and dynamic dimensions are 1.
        threads: Threads of the interpreter.
        timeout_s: Seconds that one calibration feed, or the quantization, may take.
        progress: Called after every calibration feed.

    Raises:
        BadInput: the scheme or dtype doesn't exist, a pattern matches nothing, calibration data is missing or doesn't
            fit, the model has or computes NaN, or the output can't be written.
        RuntimeFailure: the quantizer or the interpreter raised, crashed or hung.
    """
    wanted = _check(model, scheme, calibration, io_dtype, exclude)
    feeds = calibration if calibration is not None and wanted.needs_calibration else None
    start = time.perf_counter()
    with atomic_file(output) as part, _worker(wanted, model.path) as worker:
        tried = _arranged(example, model, permute or {}) if example else {}
        request = Request(model.path, part, wanted.name, io_dtype, tuple(exclude), threads, tried, modules or {})
        worker.ask(request, timeout_s)
        for done, feed in enumerate(feeds or (), start=1):
            worker.ask(_arranged(feed, model, permute or {}), timeout_s)
            if progress:
                progress(done, len(feeds or ()))
        answer: Answer = worker.ask(None, timeout_s)
    return Quantized(
        describe(output, wanted.name),
        wanted.name,
        answer.engine,
        io_dtype,
        answer.float_ops,
        time.perf_counter() - start,
        feeds.description if feeds else None,
        feeds.samples if feeds else 0,
        feeds.fit_for_deployment if feeds else True,
        answer.notes,
    )


def _check(
    model: TFLiteModel, scheme: str, calibration: CalibrationSet | None, io_dtype: str, exclude: Sequence[str]
) -> Scheme:
    wanted = get_scheme(scheme)
    if model.scheme != FLOAT32.name:
        raise BadInput(
            f"the model is quantized already ({model.scheme})",
            where=str(model.path),
            remedy="quantize the float32 model",
        )
    if io_dtype not in IO_DTYPES:
        raise BadInput(
            f"there is no input/output dtype {io_dtype!r}",
            where="--io-dtype",
            remedy=f"use one of {', '.join(IO_DTYPES)}",
        )
    if io_dtype != "float32" and not wanted.needs_calibration:
        calibrated = next(s.short_name for s in QUANTIZED if s.needs_calibration)
        raise BadInput(
            f"{wanted.name} computes in float, so its inputs and outputs can't be {io_dtype}",
            where="--io-dtype",
            remedy=f"use --io-dtype float32, or --scheme {calibrated}",
        )
    check_patterns(exclude)
    if wanted.needs_calibration and calibration is None:
        raise no_calibration(wanted.name)
    return wanted


def _arranged(
    feed: Mapping[str, Array], model: TFLiteModel, permute: Mapping[str, tuple[int, ...]]
) -> dict[str, Array]:
    """The feed in the TFLite model's layout and dtypes."""
    arranged: dict[str, Array] = {}
    for spec in model.inputs:
        if spec.name not in feed:
            raise BadInput(
                f"the calibration data has nothing for input {spec.name!r}",
                where=str(model.path),
                details=[f"calibration: {name}" for name in feed],
                remedy="load it for the model's own inputs",
            )
        array = feed[spec.name]
        if spec.name in permute:
            array = array.transpose(permute[spec.name])
        if not spec.accepts(array.shape):
            raise BadInput(
                f"a calibration sample has shape {list(array.shape)}, and the TFLite input is {spec}",
                where=str(model.path),
                remedy="give samples in the source model's layout",
            )
        cast = array.astype(spec.dtype)
        if array.dtype.kind in "iu" and not np.array_equal(cast, array):
            raise BadInput(
                f"calibration values of input {spec.name!r} don't fit the TFLite input's {spec.dtype}",
                where=str(model.path),
                remedy="give values in that range",
            )
        arranged[spec.name] = np.require(cast, requirements="C")
    return arranged


class _Worker:
    """The parent's end of a ``worker`` process."""

    def __init__(self, scheme: Scheme, model: Path, log: IO[bytes]) -> None:
        self._what = f"quantizing to {scheme.name}"
        self._model = model
        self._log = log
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{__package__}.worker", str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                env=os.environ | {"PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "2"},
                start_new_session=True,  # Ctrl-C is ours to handle
            )

    def ask(self, message: object, timeout_s: float) -> Any:
        """Send a message and wait for the answer.

        Raises:
            RuntimeFailure: there is none, because the process is dead, hangs, or met an exception.
        """
        try:
            self._connection.send(message)
            if not self._connection.poll(timeout_s):
                raise self._failure(f"{self._what} gave no sign of life for {timeout_s:g} s")
            answer = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise self._failure(f"{self._what} ended with {self._death()}") from error
        if isinstance(answer, Failure):
            failure = self._failure(f"{self._what} failed: {answer.message}", log=False)
            failure.add_note(answer.traceback)
            raise failure
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self._connection.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _death(self) -> str:
        code = self._process.wait()
        if code >= 0:
            return f"exit code {code}"
        hint = ", as when memory runs out" if -code == signal.SIGKILL else ""
        return f"signal {signal.Signals(-code).name}{hint}"

    def _failure(self, what: str, *, log: bool = True) -> RuntimeFailure:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines() if log else []
        return RuntimeFailure(
            what,
            where=str(self._model),
            details=[line for line in lines if line.strip()][-_TAIL_LINES:],
            remedy="try another scheme, or keep the operator in question in float with --exclude",
        )


@contextmanager
def _worker(scheme: Scheme, model: Path) -> Iterator[_Worker]:
    with tempfile.TemporaryFile() as log:
        worker = _Worker(scheme, model, log)
        try:
            yield worker
        finally:
            worker.close()
