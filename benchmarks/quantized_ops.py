"""How long an operator takes in int8 and with int16 activations, against float: a row for each form.

Each form is a chain of TensorFlow operators on channels-last tensors, made a TFLite file by TensorFlow's converter in
float32, in int8 with int8 inputs and outputs, and in int16. The files take turns in LiteRT's interpreter with XNNPACK
and one thread, so that what else the machine does hits all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from edgeworthy.benchmarks.quantized import page
from edgeworthy.benchmarks.quantized.forms import FORMS, Form, drawn

DTYPES = ("float32", "int8", "int16")
MARKS = "<!-- operators -->", "<!-- end of operators -->"
_TURN_S, _TURNS = 0.02, 15


@dataclass(frozen=True)
class Row:
    """A form: microseconds of all copies in float32, and the others' times ÷ those; None where there is no file.

    ``float_ops``: operators of the int8 file that compute in float all the same.
    """

    name: str
    op: str
    float32_us: float | None = None
    int8: float | None = None
    int16: float | None = None
    float_ops: tuple[str, ...] = ()
    failure: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", choices=[form.name for form in FORMS])
    parser.add_argument("--write", type=Path, metavar="FILE.md", help=f"put the table between {MARKS[0]} and its end")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    chosen = [form for form in FORMS if form.name in (options.only or [form.name])]
    if options.make:
        for form in chosen:
            _make(form, options.make)
        return 0
    rows = []
    with tempfile.TemporaryDirectory(prefix="edgeworthy-") as folder:
        _in_child(chosen, Path(folder))
        rows = [_measured(form, Path(folder)) for form in chosen]
    text = json.dumps([asdict(row) for row in rows], indent=1) if options.json else markdown(rows)
    print(text)
    if options.write:
        page.put(options.write, markdown(rows), MARKS)
    return 1 if any(row.failure for row in rows) else 0


def _in_child(forms: Sequence[Form], folder: Path) -> None:
    """TensorFlow has a process of its own, so that its threads and its kernels are not here while we time."""
    command = [sys.executable, __file__, "--make", str(folder)]
    command += [part for form in forms for part in ("--only", form.name)]
    subprocess.run(command, check=True, capture_output=True)


def _path(folder: Path, form: Form, dtype: str) -> Path:
    return folder / f"{FORMS.index(form)}_{dtype}.tflite"


def _make(form: Form, folder: Path) -> None:
    """The form's files; why there is none of a dtype goes to a text beside it."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec(form.shape, tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def chain(x: Any) -> Any:
        weights = drawn(0)
        for _ in range(form.copies):
            x = form.body(tf, x, weights)
        return {"y": x}

    module = tf.Module()
    module.chain = chain
    for dtype in DTYPES:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([chain.get_concrete_function()], module)
        if dtype != "float32":
            _quantize(tf, converter, form, dtype)
        try:
            _path(folder, form, dtype).write_bytes(converter.convert())
        except (RuntimeError, ValueError) as error:
            _path(folder, form, dtype).with_suffix(".txt").write_text(" ".join(str(error).split())[:300])


def _quantize(tf: Any, converter: Any, form: Form, dtype: str) -> None:
    draw = np.random.default_rng(1)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([draw.normal(0, 1, form.shape).astype(np.float32)] for _ in range(4))
    sets, integer = tf.lite.OpsSet, tf.int8
    if dtype == "int16":
        integer = tf.int16
        wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [wide, sets.TFLITE_BUILTINS]
    converter.inference_input_type = converter.inference_output_type = integer


def _measured(form: Form, folder: Path) -> Row:
    from edgeworthy.quantize.running import Model

    there = {dtype: path for dtype in DTYPES if (path := _path(folder, form, dtype)).exists()}
    if "float32" not in there:
        return Row(form.name, form.op, failure=_path(folder, form, "float32").with_suffix(".txt").read_text())
    models: dict[str, Model] = {}
    for dtype, path in there.items():
        model = Model(path.read_bytes())
        with contextlib.suppress(RuntimeError):  # there is no kernel for the dtype: no figure then
            model.run({"x": np.random.default_rng(2).normal(0, 1, form.shape).astype(np.float32)})
            models[dtype] = model
    times: dict[str, list[float]] = {dtype: [] for dtype in models}
    for turn in range(_TURNS):
        for dtype in sorted(models, reverse=bool(turn % 2)):
            times[dtype].append(models[dtype].nanoseconds(_TURN_S))
    medians = {dtype: statistics.median(found) for dtype, found in times.items()}
    base = medians["float32"]
    ratios = {dtype: medians[dtype] / base for dtype in DTYPES[1:] if dtype in medians}
    stayed = tuple(_float_ops(there["int8"])) if "int8" in there else ()
    return Row(form.name, form.op, base / 1000, ratios.get("int8"), ratios.get("int16"), stayed)


def _float_ops(path: Path) -> Iterator[str]:
    """Kinds of operators that compute in float32 in a file that should not."""
    from edgeworthy.formats.tflite import edit as fb

    model = fb.read(fb.load(path))
    kinds = (
        fb.op_name(model, op)
        for _, graph, op in fb.operators(model)
        if any(fb.is_float(tensor) for tensor in fb.tensors(graph, [*op.inputs, *op.outputs]))
    )
    yield from dict.fromkeys(kind for kind in kinds if kind not in ("QUANTIZE", "DEQUANTIZE"))


def markdown(rows: Sequence[Row]) -> str:
    """The table, and what it was measured on."""
    from edgeworthy.validate.host import current

    host = current()
    lines = [
        f"{date.today()}: {host.cpu}, {host.system}, LiteRT {host.packages.get('ai-edge-litert')} with XNNPACK, "
        "one thread. Ratios of medians in one interleaved run.",
        "",
        "| form | TFLite | float32, µs | int8 ÷ float32 | int16 ÷ float32 |",
        "| :-- | :-- | --: | --: | --: |",
    ]
    for row in rows:
        int8 = _ratio(row.int8) + (f" ({', '.join(row.float_ops)} in float)" if row.float_ops else "")
        micro = "–" if row.float32_us is None else f"{row.float32_us:.0f}"
        lines.append(f"| {row.name} | {row.op} | {micro} | {int8} | {_ratio(row.int16)} |")
    return "\n".join(lines) + "\n"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
