"""ONNX's own node tests through converters: each makes its file of a test's model, which runs here and is compared.

A converter gets the benefit of the doubt (`validate.node_tests`). Its process lives on from test to test, and is
started anew when it died: a crash or a hang is what became of that test, and the next one goes on.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from .. import files, kits
from ..convert.routes import CONVERTERS, ConverterInfo, get, made_by, worker
from ..errors import BadInput, EdgeworthyError, TimedOut
from ..targets import find
from ..targets.worker import Worker
from ..validate.node_tests import NodeTestOutcome, NodeTestTable, RouteTests, judged, layouts
from ..workers.scratch import Scratch
from . import fingerprint
from .cache import Workspace
from .progress import Progress, Silent

if TYPE_CHECKING:
    from ..formats.onnx.node_tests import NodeTest
    from ..workers.child import Child

JSON = "onnx-tests.json"
TIMEOUT_S = 60.0
"""Seconds that a test may take, where nobody says."""

_IMPORTS_S = 120.0
"""Seconds more for the first test of a process: many converters import what they need when they are called."""

_SAVED_EVERY_S = 5.0
_RUNTIMES = {"tflite": "tflite", "saved_model": "tensorflow"}
"""What a converter makes → the target that runs it."""

_JUDGE = ("pipeline/node_tests.py", "validate/node_tests.py", "targets/tflite.py", "targets/tensorflow.py")
_DETAIL = 200
_GLOB = frozenset("*?[")


def node_tests(
    *,
    routes: Sequence[str] = (),
    wanted: Sequence[str] = (),
    sample: int | None = None,
    seed: int = 0,
    timeout_s: float = TIMEOUT_S,
    most_bytes: int | None = None,
    output: Path | None = None,
    reuse: bool = True,
    force: bool = False,
    progress: Progress | None = None,
    command: str = "",
) -> NodeTestTable:
    """Run ONNX's node tests through routes; with ``output`` write ``onnx-tests.json``, and go on from what is there.

    Args:
        routes: Converters; none for all that can run here and start from ONNX.
        wanted: Parts of the tests' names, or patterns with ``*``, ``?`` or ``[…]`` of whole ones; none for all.
        sample: Of these, as many drawn by chance.
        seed: Of the draw.
        timeout_s: Seconds that a conversion, and a run, may take.
        most_bytes: Resident memory that a converter may take; None for what the machine has.
        reuse: False runs again what ``onnx-tests.json`` has.
        force: Overwrite a file of that name that edgeworthy didn't make.

    Raises:
        BadInput: there is no such converter, one starts from PyTorch, no test has such a name, or a file would be
            overwritten.
        NotAvailable: a converter that was named isn't installed, or the installed onnx brings no tests.
    """
    import onnx

    from ..formats.onnx.node_tests import load_node_tests

    progress, created = progress or Silent(), datetime.now(UTC)
    infos, skipped = _chosen(routes)
    tests = load_node_tests().cases
    cases = chosen(tests, wanted, sample, seed)
    path = output / JSON if output else None
    with Workspace(output) if output else nullcontext():
        before = _earlier(path, force=force) if path else None
        known = {row.key: row.outcomes for row in before.routes} if before and reuse else {}
        rows: dict[str, RouteTests] = {}

        def table() -> NodeTestTable:
            return NodeTestTable(
                edgeworthy=importlib.metadata.version("edgeworthy"),
                created=created,
                command=command,
                onnx=onnx.__version__,
                total=len(tests),
                chosen=len(cases),
                routes=[*rows.values(), *skipped],
            )

        def save(row: RouteTests) -> None:
            rows[row.route] = row
            if path:
                files.write_text(path, table().model_dump_json(indent=1) + "\n")

        for info in infos:
            key = _key(info, onnx.__version__)
            row = RouteTests(route=info.name, made_by=made_by(info), key=key)
            with progress.stage(f"onnx-tests.{info.name}", f"{len(cases)} tests"):
                _through(info, cases, row, known.get(key, {}), save, progress, timeout_s, most_bytes)
        return table()


def chosen(tests: Sequence[NodeTest], wanted: Sequence[str], sample: int | None, seed: int) -> list[NodeTest]:
    """The tests of these names, or a draw of them, in their order.

    Raises:
        BadInput: a name fits none.
    """
    patterns = {text: text if _GLOB & set(text) else f"*{text}*" for text in wanted}
    for text, pattern in patterns.items():
        if not any(fnmatchcase(test.name, pattern) for test in tests):
            raise BadInput(
                f"no node test of ONNX is called {text!r}",
                where="--onnx-tests",
                remedy="give no model with it, but a part of the tests' names, or a pattern such as 'test_conv_*'",
            )
    found = [test for test in tests if not wanted or any(fnmatchcase(test.name, p) for p in patterns.values())]
    if sample is None or sample >= len(found):
        return found
    return sorted(random.Random(seed).sample(found, sample), key=lambda test: test.name)


def _chosen(names: Iterable[str]) -> tuple[list[ConverterInfo], list[RouteTests]]:
    """The converters to take; and a row for each that can't be, where nobody asked for it by name."""
    if asked := list(dict.fromkeys(names)):
        infos = [get(name, "--route") for name in asked]
        for info in infos:
            if why := _not_for_it(info):
                raise BadInput(f"{info.name}: {why}", where="--route", remedy="leave it out")
        return infos, []
    why_not = {info.name: info.missing() or _not_for_it(info) for info in CONVERTERS.values()}
    skipped = [RouteTests(route=name, cause=why) for name, why in why_not.items() if why]
    return [info for info in CONVERTERS.values() if not why_not[info.name]], skipped


def _not_for_it(info: ConverterInfo) -> str:
    return "" if info.takes == "onnx" else "it starts from PyTorch, and a node test is an ONNX file"


def _key(info: ConverterInfo, onnx_version: str) -> str:
    """Changes with whatever might make another outcome: a kit's content, else our code and the converter's version;
    the runtime, and what judges."""
    judge = (find(_RUNTIMES[info.makes]).version, fingerprint.of_code(*_JUDGE))
    made_of = (info.name, info.makes, made_by(info), fingerprint.of_converter(info), onnx_version, *judge)
    return hashlib.sha256(repr(made_of).encode()).hexdigest()


def _through(
    info: ConverterInfo,
    cases: Sequence[NodeTest],
    row: RouteTests,
    known: dict[str, NodeTestOutcome],
    save: Callable[[RouteTests], None],
    progress: Progress,
    timeout_s: float,
    most_bytes: int | None,
) -> None:
    """Every test through one converter, but for those whose outcome is known."""
    outcomes = {case.name: known[case.name] for case in cases if case.name in known}
    saved = time.monotonic()
    cause = ""
    try:
        with _Bench(info, timeout_s, most_bytes) as bench:
            for count, case in enumerate(cases, 1):
                if case.name in outcomes:
                    continue
                progress.step(case.name, count, len(cases))
                outcomes[case.name] = bench.outcome(case)
                if time.monotonic() - saved > _SAVED_EVERY_S:
                    save(_sorted(row, outcomes, "it stopped before the end"))
                    saved = time.monotonic()
    except EdgeworthyError as error:  # its process can't even be started, or its kit is damaged
        cause = _line(error)
    except BaseException:
        save(_sorted(row, outcomes, "it stopped before the end"))
        raise
    save(_sorted(row, outcomes, cause))


def _sorted(row: RouteTests, outcomes: dict[str, NodeTestOutcome], cause: str) -> RouteTests:
    return row.model_copy(update={"outcomes": dict(sorted(outcomes.items())), "cause": cause})


class _Bench:
    """A converter's process and a runtime's, for one test after the other. Use it as a context manager."""

    def __init__(self, info: ConverterInfo, timeout_s: float, most_bytes: int | None) -> None:
        self._info = info
        self._timeout_s = timeout_s
        self._most_bytes = most_bytes
        self._scratch = Scratch()
        self._runtime = Worker(_RUNTIMES[info.makes], timeout_s=timeout_s)
        self._child: Child | None = None
        self._fresh = True

    def __enter__(self) -> _Bench:
        if self._info.kit:
            kits.check_whole(kits.KITS[self._info.kit])
        return self

    def __exit__(self, *_: object) -> None:
        self._runtime.close()
        if self._child is not None:
            self._child.close()
        self._scratch.close()

    def outcome(self, case: NodeTest) -> NodeTestOutcome:
        """What becomes of a test; one that kills a process that others have worn is tried in a new one.

        Raises:
            EdgeworthyError: the converter's process can't be started.
        """
        found = self._outcome(case)
        return self._outcome(case) if found.status == "crash" and not self._fresh else found

    def _outcome(self, case: NodeTest) -> NodeTestOutcome:
        child = self._alive()
        with self._folder() as folder:
            model, out = folder / "model.onnx", folder / "out"
            model.write_bytes(case.model)
            out.mkdir()
            try:
                with worker.failures(self._info, folder):
                    copy = worker.copied(self._info, model, folder / "copy")
                    limit = self._timeout_s + (_IMPORTS_S if self._fresh else 0)
                    made = child.ask("convert", self._info.convert, str(copy), str(out), timeout_s=limit)
                    file = worker.checked(self._info, Path(made), out)
            except EdgeworthyError as error:
                late = isinstance(error, TimedOut)
                return NodeTestOutcome("timeout" if late else "convert-error" if child.alive else "crash", _line(error))
            found = NodeTestOutcome("runtime-error", "its inputs are others, or in no layout that fits")
            for feeds in layouts(file.artifact.inputs, case.inputs):
                try:
                    self._runtime.load(file.artifact)
                    outputs = self._runtime.run(feeds)
                except EdgeworthyError as error:
                    found = NodeTestOutcome("runtime-error", _line(error))
                    continue
                found = judged(outputs, case)
                if found.status == "pass":
                    break
            return found

    def _alive(self) -> Child:
        """The converter's process; a new one where the last died."""
        self._fresh = self._child is None or not self._child.alive
        if self._child is None or self._fresh:
            temporary = self._scratch.path / "tmp"
            temporary.mkdir(exist_ok=True)
            self._child = worker.started(
                self._info, temporary, timeout_s=self._timeout_s, most_bytes=self._most_bytes
            ).__enter__()
        return self._child

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        folder = self._scratch.path / "case"
        folder.mkdir()
        try:
            yield folder
        finally:
            files.remove(folder)


def _earlier(path: Path, *, force: bool) -> NodeTestTable | None:
    """What an earlier run wrote.

    Raises:
        BadInput: a file of that name is somebody else's.
    """
    if not path.exists():
        return None
    try:
        return NodeTestTable.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        if force:
            return None
        raise BadInput(
            "this file isn't edgeworthy's, and would be overwritten",
            where=str(path),
            remedy="choose another folder, or add --force",
        ) from error


def _line(error: EdgeworthyError) -> str:
    text = " ".join(error.what.split())
    return text if len(text) <= _DETAIL else text[: _DETAIL - 1] + "…"
