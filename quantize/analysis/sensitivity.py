"""Sensitivity: what each operator costs, by trying.

*one*: it alone is quantized, all others are in float. *all-but-one*: it is in float, all others are as in the file. The
figure is the least SQNR of an output, by groups of channels; those with the largest local error are tried first, as
long as the budget lasts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...analysis import LayerError, OperatorSensitivity, SensitivityMode, SensitivityResult
from ...artifact import Feeds, TFLiteModel
from ...errors import EdgeworthyError, OutOfMemory, RuntimeFailure
from ...workers.child import Child
from ..post_training import TIMEOUT_S, arranged
from .trials import TrialRequest

if TYPE_CHECKING:
    from ...artifact import Array

_COMMANDS: dict[SensitivityMode, str] = {"one": "alone", "all-but-one": "without"}

OnTrial = Callable[[int, int], None]
"""Called with the operators tried, and how many will be at most."""


def sensitivity(
    floating: TFLiteModel,
    quantized: TFLiteModel,
    feeds: Sequence[Feeds],
    layers: Sequence[LayerError],
    *,
    mode: SensitivityMode,
    most: int,
    seconds: float,
    permute: Mapping[str, tuple[int, ...]] | None = None,
    threads: int = 1,
    timeout_s: float = TIMEOUT_S,
    progress: OnTrial | None = None,
) -> SensitivityResult:
    """Try operators one by one.

    Args:
        floating: The float file that ``quantized`` was made from.
        feeds: Held-back samples in the source model's layout.
        layers: Its errors (``PerLayer``), in the order that operators are tried in.
        mode: See above.
        most: Operators that are tried at most.
        seconds: Time after which no other one is begun.
        permute: Input name → axes, where the TFLite input is the source's transposed by them.
        timeout_s: Seconds that one step may take.

    Raises:
        RuntimeFailure: the files as they are can't be run. An operator that can't is a row that says so.
        OutOfMemory: the process was killed, or says so itself.
    """
    begin = time.monotonic()
    candidates = [layer for layer in layers if _is_candidate(layer)]
    job = _Trials(_request(floating, quantized, layers, threads), timeout_s)
    job.feeds = [arranged(feed, floating, permute or {}) for feed in feeds]
    rows = []
    try:
        base = job.ask("base")
        for done, layer in enumerate(candidates[:most]):
            if time.monotonic() - begin > seconds:
                break
            if progress:
                progress(done, min(most, len(candidates)))
            rows.append(_row(job, _COMMANDS[mode], layer))
    finally:
        job.close()
    worst_first = 1 if mode == "one" else -1
    return SensitivityResult(
        mode=mode,
        base_db=base if math.isfinite(base) else None,
        rows=sorted(rows, key=lambda row: (bool(row.failure), worst_first * _for_sorting(row))),
        candidates=len(candidates),
        seconds=time.monotonic() - begin,
        samples=len(feeds),
    )


class _Trials:
    """The child that tries, started again where an operator ended it."""

    def __init__(
        self,
        request: TrialRequest,
        timeout_s: float,
    ) -> None:
        self.feeds: Sequence[Mapping[str, Array]] = ()
        self._request, self._timeout_s = request, timeout_s
        self._child: Child | None = None

    def ask(self, command: str, *arguments: object) -> Any:
        if self._child is None or not self._child.alive:
            self.close()
            self._child = self._started()
        return self._child.ask(command, *arguments)

    def close(self) -> None:
        if self._child is not None:
            self._child.close()

    def _started(self) -> Child:
        child = Child(
            f"{__package__}.trials",
            self._request,
            name="measuring sensitivities",
            where=str(self._request.quantized),
            remedy="leave --sensitivity out",
            environment={"PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "2"},
            timeout_s=self._timeout_s,
            start_s=self._timeout_s,
            passes=(EdgeworthyError, OSError),
        )
        child.__enter__()
        for feed in self.feeds:
            child.ask("sample", feed)
        return child


def _row(job: _Trials, command: str, layer: LayerError) -> OperatorSensitivity:
    try:
        found, along = job.ask(command, layer.place.tensor)
    except OutOfMemory:  # says nothing of the operator
        raise
    except RuntimeFailure as error:
        return OperatorSensitivity(place=layer.place, sqnr_db=None, failure=error.what)
    lost = "no signal is left in an output" if found == -math.inf else ""
    figure = found if math.isfinite(found) else None
    return OperatorSensitivity(place=layer.place, sqnr_db=figure, along=along, failure=lost)


def _is_candidate(layer: LayerError) -> bool:
    """Whether its operator is quantized and makes an error that is its own."""
    return layer.place.op != "INPUT" and layer.local is not None and not layer.local.exact and not layer.scale_of


def _request(floating: TFLiteModel, quantized: TFLiteModel, layers: Sequence[LayerError], threads: int) -> TrialRequest:
    used = {layer.place.tensor: layer.used for layer in layers if layer.scale_of or layer.there is None}
    follows = frozenset(layer.place.tensor for layer in layers if layer.scale_of)
    return TrialRequest(floating.path, quantized.path, quantized.scheme, used, follows, threads)


def _for_sorting(row: OperatorSensitivity) -> float:
    return math.inf if row.sqnr_db is None else row.sqnr_db
