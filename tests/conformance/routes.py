"""Run ONNX's node tests through other converters: `python -m tests.conformance.routes --route onnx2tf --sample 200`.

What a converter makes runs on LiteRT. It is given the benefit of the doubt: tensors are matched by name, else by order;
inputs and outputs of rank 3 and more may be channels-last, and a scalar have rank 1; a case passes in whichever form it
does. A converter's process lives on from case to case, and is started anew when it died.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgeworthy.artifact import TensorSpec
from edgeworthy.convert.routes import ConverterInfo, get
from edgeworthy.convert.routes.worker import copied, started
from edgeworthy.errors import EdgeworthyError
from edgeworthy.source.model_files import read
from edgeworthy.targets.worker import Worker
from edgeworthy.workers.child import Child

from .onnx_cases import Case, load_suite
from .outcomes import Outcome, compare
from .run import progress_line
from .suite import Run, table
from .worker import one_line

Feeds = dict[str, np.ndarray[Any, Any]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.routes", description=__doc__)
    parser.add_argument("--route", action="append", required=True, metavar="NAME")
    parser.add_argument("--filter", action="append", default=[], metavar="TEXT", help="only cases with it in the name")
    parser.add_argument("--sample", type=int, metavar="N", help="of these, N drawn by chance; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds a case may take (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print every outcome as JSON")
    options = parser.parse_args()
    suite = load_suite()
    wanted: list[str] = options.filter
    cases = [case for case in suite.cases if not wanted or any(text in case.name for text in wanted)]
    if options.sample is not None:
        cases = sorted(random.Random(options.seed).sample(cases, options.sample), key=lambda case: case.name)
    runs = [through(get(name, "--route"), cases, timeout_s=options.timeout) for name in options.route]
    if options.json:
        told = {run.artifact: {name: vars(outcome) for name, outcome in run.outcomes.items()} for run in runs}
        print(json.dumps({"onnx": onnx.__version__, "routes": told}, indent=1))
    else:
        print(f"onnx {onnx.__version__}: {len(cases)} of {len(suite.cases)} node tests with TFLite's types")
        print(*table(runs), sep="\n")
        for run in runs:
            print(run.artifact, dict(Counter(outcome.status for outcome in run.outcomes.values())))
    return 0


def through(info: ConverterInfo, cases: Sequence[Case], *, timeout_s: float) -> Run:
    """Every case through one converter."""
    outcomes: dict[str, Outcome] = {}
    show = progress_line(info.name, len(cases))
    with tempfile.TemporaryDirectory() as scratch, _runtime(timeout_s) as runtime:
        child: Child | None = None
        try:
            for count, case in enumerate(cases, 1):
                if child is None or not child.alive:
                    child = started(info, Path(scratch), timeout_s=timeout_s)
                    child.wait()
                with tempfile.TemporaryDirectory() as folder:
                    outcomes[case.name] = _outcome(info, case, Path(folder), child, runtime)
                show(count)
        finally:
            if child is not None:
                child.close()
    return Run(info.name, outcomes, 0.0)


@contextmanager
def _runtime(timeout_s: float) -> Iterator[Worker]:
    worker = Worker("tflite", timeout_s=timeout_s)
    try:
        yield worker
    finally:
        worker.close()


def _outcome(info: ConverterInfo, case: Case, folder: Path, child: Child, runtime: Worker) -> Outcome:
    """Convert a case, run it in each layout that fits, compare."""
    (folder / "given").mkdir()
    (folder / "out").mkdir()
    (folder / "given/model.onnx").write_bytes(case.model)
    (folder / "copy").mkdir()
    try:
        copy = copied(info, folder / "given/model.onnx", folder / "copy")
        made = child.ask("convert", info.convert, str(copy), str(folder / "out"))
        file = read(Path(made))
    except EdgeworthyError as error:
        status = "timeout" if "(timeout)" in error.what else "convert-error" if child.alive else "crash"
        return Outcome(status, one_line(error))  # type: ignore[arg-type]
    found = Outcome("runtime-error", "no layout fits")
    for feeds in layouts(file.artifact.inputs, case.inputs):
        try:
            runtime.load(file.artifact)
            outputs = runtime.run(feeds)
        except EdgeworthyError as error:
            found = Outcome("runtime-error", one_line(error))
            continue
        found = judged(outputs, case)
        if found.status == "pass":
            break
    return found


def judged(outputs: Mapping[str, Any], case: Case) -> Outcome:
    """The comparison, each output by name, else by order, as it is or its channels moved second."""
    if len(outputs) != len(case.outputs):
        return Outcome("wrong-shape", f"{len(outputs)} outputs instead of {len(case.outputs)}")
    named = set(case.outputs) <= set(outputs)
    pairs = zip(case.outputs, outputs.values(), strict=True)
    kept = {name: np.asarray(outputs[name] if named else value) for name, value in pairs}
    kept = {n: v.reshape(()) if v.shape == (1,) and np.ndim(case.outputs[n]) == 0 else v for n, v in kept.items()}
    moved = {name: np.moveaxis(value, -1, 1) if value.ndim > 2 else value for name, value in kept.items()}
    found = [compare(some, case.outputs, rtol=case.rtol, atol=case.atol) for some in (kept, moved)]
    return next((outcome for outcome in found if outcome.status == "pass"), found[0])


def layouts(specs: Sequence[TensorSpec], inputs: Mapping[str, Any]) -> Iterator[Feeds]:
    """The inputs as the file may take them: in the model's own layout, and channels last."""
    named = {spec.name for spec in specs} <= set(inputs)
    if not (named or len(specs) == len(inputs)) or not all(isinstance(value, np.ndarray) for value in inputs.values()):
        return
    kept = {s.name: inputs[s.name] if named else value for s, value in zip(specs, inputs.values(), strict=False)}
    kept |= {s.name: kept[s.name].reshape(1) for s in specs if kept[s.name].ndim == 0 and tuple(s.shape) == (1,)}
    moved = {name: np.moveaxis(value, 1, -1) if value.ndim > 2 else value for name, value in kept.items()}
    for feeds in (kept, moved):
        if all(_fits(spec, feeds[spec.name]) for spec in specs):
            yield feeds


def _fits(spec: TensorSpec, value: np.ndarray[Any, Any]) -> bool:
    extents = zip(spec.shape, value.shape, strict=False)
    return len(spec.shape) == value.ndim and all(isinstance(one, str) or one == other for one, other in extents)


if __name__ == "__main__":
    sys.exit(main())
