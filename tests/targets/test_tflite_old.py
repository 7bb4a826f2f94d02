"""TFLite 2.14 by its real runtime: files of every kind against today's, and an operator version that is too new."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeworthy import kits
from edgeworthy.artifact import TFLiteModel
from edgeworthy.convert.builders.tensor import Spec
from edgeworthy.convert.builders.tflite import TfliteBuilder
from edgeworthy.errors import NotAvailable, RuntimeFailure
from edgeworthy.formats.tflite.operations import read
from edgeworthy.formats.tflite.releases import least_runtime
from edgeworthy.formats.tflite.summary import describe
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe
from edgeworthy.targets import find
from edgeworthy.targets.rules import find as find_rules
from edgeworthy.targets.rules import refused
from edgeworthy.targets.rules.runtime import model
from edgeworthy.targets.worker import Worker

old = pytest.mark.skipif(
    kits.version("tflite-2.14") is None, reason="its kit isn't there: edgeworthy targets install tflite-2.14"
)


def test_without_its_kit_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("EDGEWORTHY_HOME", str(tmp_path))
    missing = find("tflite-2.14").missing()
    assert missing is not None and "edgeworthy targets install tflite-2.14" in missing
    with pytest.raises(NotAvailable, match=r"kit tflite-2\.14 is not installed"):
        find("tflite-2.14").make().version()


@old
@pytest.mark.device
@pytest.mark.parametrize("kernels", ["xnnpack", "builtin", "reference"])
def test_float32_is_pytorchs(tflite_model: TFLiteModel, images: Any, expected: Any, kernels: str) -> None:
    with Worker(f"tflite-2.14,kernels={kernels}", tflite_model) as worker:
        assert worker.version == "tflite-runtime 2.14.0"
        found = worker.run({"image": images.transpose(0, 2, 3, 1)})["logits"]
        receipt = worker.receipt
        assert len(worker.time({"image": images.transpose(0, 2, 3, 1)}, 3)) == 3
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert receipt.ran == ("XNNPACK" if kernels == "xnnpack" else f"TFLite {kernels}")
    assert receipt.measured == "host"


@old
@pytest.mark.device
def test_int8_is_todays_reference_bit_by_bit(tflite_int8: TFLiteModel) -> None:
    """On noise, zeros and extremes: what int8 operators compute hasn't changed since."""
    random = np.random.default_rng(5)
    images = [random.integers(-128, 128, (3, 8, 8, 3)), *(np.full((1, 8, 8, 3), value) for value in (0, 127, -128))]
    with Worker("tflite-2.14,kernels=reference", tflite_int8) as then, Worker("tflite,kernels=reference") as now:
        now.load(tflite_int8)
        for image in (i.astype(np.int8) for i in images):
            found, expected = then.run({"image": image})["logits"], now.run({"image": image})["logits"]
            assert found.dtype == np.int8
            np.testing.assert_array_equal(found, expected)


@old
@pytest.mark.device
def test_an_operator_that_is_too_new_is_named_and_the_next_file_loads(tflite_model: TFLiteModel, tmp_path: Any) -> None:
    """ADD has version 5 there at the most, and the runtime of a board can't be updated from here."""
    path = tmp_path / "new.tflite"
    path.write_bytes(model(0, 9))
    new = TFLiteModel(path=path, inputs=(), outputs=())
    with Worker("tflite-2.14") as worker:
        with pytest.raises(RuntimeFailure, match="Didn't find op for builtin opcode 'ADD' version '9'"):
            worker.load(new)
        worker.load(tflite_model)
        assert worker.receipt.delegated


@old
@pytest.mark.device
@pytest.mark.parametrize(
    ("op", "shapes", "dies"),
    [
        ("equal", ((1, 2, 1, 3, 2), (1, 2, 1, 1, 2)), True),
        ("equal", ((2, 1, 3, 2), (2, 1, 1, 2)), False),
        ("equal", ((1, 2, 1, 3, 2), (1, 2, 1, 3, 2)), False),
        ("maximum", ((1, 2, 1, 3, 2), (1, 2, 1, 1, 2)), False),
        ("maximum", ((1, 1, 2, 1, 3, 2), (1, 1, 2, 1, 1, 2)), True),
    ],
)
def test_what_it_registers_and_dies_of_has_a_rule(op: str, shapes: Any, dies: bool, tmp_path: Any) -> None:
    x, y = ((name, Spec("float32", shape)) for name, shape in zip("xy", shapes, strict=True))
    b = TfliteBuilder([x, y])
    shape = np.broadcast_shapes(*shapes)
    z = b.emit_one(op, b.inputs, "bool" if op == "equal" else "float32", shape)
    b.save([("z", z)], tmp_path / "m.tflite")
    assert bool(refused(find_rules("tflite-2.14"), read(tmp_path / "m.tflite"))) is dies
    arrays = {
        name: np.arange(12, dtype=np.float32).reshape(-1)[: np.prod(s)].reshape(s)
        for name, s in zip("xy", shapes, strict=True)
    }
    outcomes = []
    for target in ("tflite-2.14,kernels=builtin", "tflite,kernels=builtin"):
        with Worker(target, describe(tmp_path / "m.tflite")) as worker:
            try:
                outcomes.append(worker.run(arrays)["z"])
            except RuntimeFailure:
                outcomes.append(None)
    assert outcomes[1] is not None and (outcomes[0] is None) is dies
    if not dies:
        np.testing.assert_array_equal(*outcomes)


@old
@pytest.mark.device
def test_what_it_registers_and_computes_wrong_has_a_rule(tflite_model: TFLiteModel, images: Any, tmp_path: Any) -> None:
    """A scale for each channel of int8 weights: 2.14 takes the first for all, and says nothing."""
    quantize(tflite_model, path := tmp_path / "m.tflite", Recipe(scheme="dynamic_wi8_afp32"))
    assert {r.operation.op for r in refused(find_rules("tflite-2.14"), read(path))} == {"FULLY_CONNECTED"}
    assert str(least_runtime(path)).startswith("LiteRT ≥ 1.0 (because of FULLY_CONNECTED of float data")
    feeds = {"image": images.transpose(0, 2, 3, 1)}
    with Worker("tflite-2.14", describe(path)) as then, Worker("tflite", describe(path)) as now:
        found, expected = then.run(feeds)["logits"], now.run(feeds)["logits"]
    assert np.abs(found - expected).max() > 0.5 * np.abs(expected).max()
