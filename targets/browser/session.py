"""A model that is loaded in a page of a browser."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...artifact import Feeds
from ...errors import CheckFailed, OutOfMemory, RuntimeFailure
from ..session import TRY_TFLITE, LoadedModel
from .chromium import Chromium, PageError
from .server import Server

if TYPE_CHECKING:
    from ...artifact import Array

_PAGE = Path(__file__).parent / "page"
_FAULT = "ERROR: "
_TOO_LARGE = ("OOM", "out of memory", "Cannot enlarge memory", "out of bounds", "allocation failed", "bad_alloc",
              "Invalid array length", "Failed to allocate tensors")  # fmt: skip
"""How a page says that its memory ran out."""


class Page:
    """A page with a runtime's script and the model that it has loaded.

    Args:
        runtime: What messages call the runtime.
        program: The Chromium.
        flags: Its flags.
        files: What the page may fetch beside its own files, by the first part of the path.
        where: The model, for messages.
    """

    def __init__(
        self, runtime: str, program: str, flags: Sequence[str], files: Mapping[str, Path], *, where: str
    ) -> None:
        self.runtime = runtime
        self.where = where
        self.server = Server({"index.html": _PAGE / "index.html", "page": _PAGE, **files})
        try:
            self.chromium = Chromium(program, flags, f"{self.server.address}index.html")
        except BaseException:
            self.server.close()
            raise
        self.resident_before = self.chromium.resident("VmRSS")

    def load(self, module: str, **options: object) -> dict[str, Any]:
        """Load the model; returns what the runtime's script tells, and ``ms``, ``step`` and ``agent``.

        Raises:
            RuntimeFailure: the runtime raised or the browser ended.
            OutOfMemory: the page's memory isn't enough.
        """
        told: dict[str, Any] = self.call("load", module, options)
        return told

    def call(self, function: str, *arguments: object) -> Any:
        """See ``Chromium.call``; raises as ``load``."""
        stage = arguments[0] if function == "ask" else function
        try:
            value = self.chromium.call(function, *arguments)
        except PageError as error:
            raise self._failure(f"raised in {stage}: {error.said}", error.said, error.lines) from error
        # LiteRT.js gives outputs even where LiteRT couldn't run, and logs why.
        if stage in ("run", "time") and (faults := [line for line in self.chromium.lines if line.startswith(_FAULT)]):
            raise self._failure(f"failed in {stage}: {faults[-1].removeprefix(_FAULT)}", " ".join(faults), faults)
        return value

    def _failure(self, what: str, said: str, lines: Sequence[str]) -> RuntimeFailure | OutOfMemory:
        if any(words in said for words in _TOO_LARGE):
            remedy = "a page of WebAssembly has at most 2 GiB: quantize the model, or make it smaller"
            return OutOfMemory(f"{self.runtime} {what}", where=self.where, details=lines, remedy=remedy)
        return RuntimeFailure(f"{self.runtime} {what}", where=self.where, details=lines, remedy=TRY_TFLITE)

    def close(self) -> None:
        self.chromium.close()
        self.server.close()


class BrowserSession(LoadedModel, ABC):
    """A model in a page. ``run`` is timed by the page's clock, from and to arrays in the page's memory."""

    def __init__(self, page: Page, told: Mapping[str, Any]) -> None:
        self.page = page
        self.told = told
        self.elapsed_ns = _ns(told["ms"])

    @abstractmethod
    def encode(self, feeds: Feeds) -> tuple[dict[str, Array], bool]:
        """The arrays that the page's runtime takes, and what ``decode`` has to know of them."""

    @abstractmethod
    def decode(self, arrays: dict[str, Array], dequantized: bool) -> dict[str, Array]:
        """The outputs that the artifact names."""

    def run(self, feeds: Feeds) -> dict[str, Array]:
        arrays, dequantized = self.encode(feeds)
        answer = self.page.call("run", self._given(arrays))
        self.elapsed_ns = self._at_least_a_step(answer["ms"])
        return self.decode(self._taken(answer["outputs"]), dequantized)

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        specs = self._given(self.encode(feeds)[0])
        return lambda: self.page.call("run", specs)

    def time(self, feeds: Feeds, repeats: int) -> list[int]:
        specs = self._given(self.encode(feeds)[0])
        return [self._at_least_a_step(ms) for ms in self.page.call("time", specs, repeats)]

    def memory(self) -> tuple[int, int]:
        return self.page.chromium.resident("VmHWM"), self.page.resident_before

    @property
    def notes(self) -> tuple[str, ...]:
        """The browser and its clock."""
        version = self.told["agent"].partition("Chrome/")[2].partition(".")[0]
        return f"Chromium {version}", f"the page's clock has steps of {self.told['step'] * 1000:.3g} µs"

    def _given(self, arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
        """Have the arrays ready to be fetched; returns what they are."""
        blobs = [array.tobytes() for array in arrays.values()]
        self.page.server.given["feeds"] = b"".join(blobs)
        return [
            {"name": name, "dtype": array.dtype.name, "shape": list(array.shape), "bytes": len(blob)}
            for (name, array), blob in zip(arrays.items(), blobs, strict=True)
        ]

    def _taken(self, specs: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
        content, begin, arrays = self.page.server.taken, 0, {}
        if len(content) != sum(spec["bytes"] for spec in specs):
            raise CheckFailed(
                f"{self.page.runtime} gave {len(content)} bytes of outputs",
                where=self.page.where,
                remedy="run it again; if it happens again, report it with the model",
            )
        for spec in specs:
            piece = content[begin : begin + spec["bytes"]]
            arrays[spec["name"]] = np.frombuffer(piece, spec["dtype"]).reshape(spec["shape"])
            begin += spec["bytes"]
        return arrays

    def _at_least_a_step(self, ms: float) -> int:
        """Nanoseconds; what is faster than the clock can tell took less than a step of it."""
        return _ns(max(ms, self.told["step"]))


def _ns(ms: float) -> int:
    return max(1, round(ms * 1e6))


def counted_threads(count: int) -> str:
    """As a receipt says it."""
    return f"{count} thread{'s' if count > 1 else ''}"
