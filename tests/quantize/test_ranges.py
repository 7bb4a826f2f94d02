from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.convert.builders.tensor import Spec
from edgeworthy.convert.builders.tflite import TfliteBuilder
from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.ranges import SOFTMAX_REACH, Observer, unfit_operators
from edgeworthy.quantize.running import input_tensors

from .conftest import normal_feeds
from .tflite_graph import NO_ACTIVATION, Array, Graph, scalar

Calibrate = Callable[..., CalibrationSet]


def observed(model: TFLiteModel, feeds: list[dict[str, Array]]) -> Observer:
    observer = Observer(model.path.read_bytes())
    for feed in feeds:
        observer.observe(feed)
    return observer


def kept(observer: Observer) -> dict[str, str]:
    """Kind of operator → why it has to stay float."""
    ops = observer.graph.operators
    return {fb.op_name(observer.model, ops[i]): reason for i, reason in unfit_operators(observer).items()}


def test_ranges_are_the_extremes_of_all_samples_in_any_order(tmp_path: Path) -> None:
    g = Graph(x=(1, 4))
    model = g.save(tmp_path / "m.tflite", y=g.op("relu", [g.inputs[0]], (1, 4)))
    feeds = [{"x": np.array([values], np.float32)} for values in ([1, 2, 3, 4], [-9, 0, 0, 1], [0, 0, 0, 7])]
    forward, backward = observed(model, feeds), observed(model, feeds[::-1])
    assert forward.ranges == backward.ranges
    assert sorted(forward.ranges.values()) == [(-9.0, 7.0), (0.0, 7.0)]


def test_every_activation_of_a_network_has_a_range(conv_net: TFLiteModel) -> None:
    observer = observed(conv_net, normal_feeds(conv_net, 2))
    outputs = {fb.name(observer.graph.tensors[o]) for op in observer.graph.operators for o in op.outputs}
    assert outputs < set(observer.ranges)
    assert not unfit_operators(observer)


def test_new_shapes_are_taken_for_dynamic_inputs(tmp_path: Path) -> None:
    g = Graph(x=(None, 4))
    model = g.save(tmp_path / "m.tflite", y=g.op("relu", [g.inputs[0]], (None, 4)))
    observer = observed(model, [{"x": np.full((n, 4), n, np.float32)} for n in (3, 1, 5)])
    assert (0.0, 5.0) not in observer.ranges.values()
    assert set(observer.ranges.values()) == {(1.0, 5.0)}


def test_extents_that_nothing_fits_into_are_never_allocated(tmp_path: Path) -> None:
    """A file has 1 for what varies, which no window of this convolution fits into."""
    b = TfliteBuilder([("x", Spec("float32", (1, None, None, 1)))])
    weights = b.const(np.ones((1, 4, 4, 1), np.float32))
    sums = b.conv_2d(b.inputs[0], weights, None, strides=(4, 4), dilations=(1, 1), padding="VALID")
    b.save([("y", sums)], tmp_path / "m.tflite")
    observer = Observer((tmp_path / "m.tflite").read_bytes())
    for extent in (4, 8):
        observer.observe({"x": np.full((1, extent, extent, 1), 0.25, np.float32)})
    assert sorted(observer.ranges.values()) == [(0.25, 0.25), (4.0, 4.0)]


def test_nan_is_refused_with_sample_and_tensor(tmp_path: Path) -> None:
    g = Graph(x=(1, 4))
    model = g.save(tmp_path / "m.tflite", y=g.op("log", [g.inputs[0]], (1, 4)))
    observer = observed(model, [{"x": np.ones((1, 4), np.float32)}])
    with pytest.raises(BadInput, match="NaN on calibration sample 1") as caught:
        observer.observe({"x": np.full((1, 4), -1, np.float32)})
    assert "serving_default_y" in str(caught.value.where)


def test_a_softmax_input_needs_no_room_for_what_has_no_share(tmp_path: Path) -> None:
    g = Graph(x=(2, 3))
    model = g.save(tmp_path / "m.tflite", y=g.op("softmax", [g.inputs[0]], (2, 3), beta=1.0))
    observer = observed(model, [{"x": np.array([[-500, 2, 3], [-9, -8, -7]], np.float32)}])
    (name,) = (n for n in observer.ranges if "_x" in n)
    assert observer.statistics[name].reach == 500.0
    assert observer.ranges[name] == (3.0 - SOFTMAX_REACH, 3.0), "of the second row all is kept"


def test_a_softmax_input_that_is_read_elsewhere_is_kept_whole(tmp_path: Path) -> None:
    g = Graph(x=(1, 3))
    y, z = g.op("softmax", [g.inputs[0]], (1, 3), beta=1.0), g.op("relu", [g.inputs[0]], (1, 3))
    observer = observed(g.save(tmp_path / "m.tflite", y=y, z=z), [{"x": np.array([[-500, 2, 3]], np.float32)}])
    assert (-500.0, 3.0) in observer.ranges.values()


def attention(path: Path, mask: Callable[[Graph, Any, Any], Any]) -> TFLiteModel:
    g = Graph(q=(1, 8, 16), m=(1, 1, 8))
    query, keep = g.inputs
    scores = g.op("batch_matmul", [query, query], (1, 8, 8), adj_x=False, adj_y=True)
    shares = g.op("softmax", [mask(g, scores, keep)], (1, 8, 8), beta=1.0)
    return g.save(path, y=g.op("batch_matmul", [shares, query], (1, 8, 16), adj_x=False, adj_y=False))


def added(value: float) -> Callable[[Graph, Any, Any], Any]:
    """scores + (1 - keep) · value."""

    def mask(g: Graph, scores: Any, keep: Any) -> Any:
        away = g.op("sub", [scalar(1), keep], (1, 1, 8), **NO_ACTIVATION)
        away = g.op("mul", [away, scalar(value)], (1, 1, 8), **NO_ACTIVATION)
        return g.op("add", [scores, away], (1, 8, 8), **NO_ACTIVATION)

    return mask


def masks(seed: int, lengths: tuple[int, ...]) -> list[dict[str, Array]]:
    random = np.random.default_rng(seed)
    return [
        {"q": random.normal(size=(1, 8, 16)).astype(np.float32), "m": (np.arange(8) < n)[None, None].astype(np.float32)}
        for n in lengths
    ]


@pytest.mark.parametrize(
    ("value", "reasons"),
    [
        (-1e4, {"ADD": "times the range of the result"}),
        (-1e9, {"ADD": "as masks do", "SOFTMAX": "as masks do"}),
        (-3.4e38, {"MUL": "as masks do", "ADD": "as masks do", "SOFTMAX": "as masks do"}),
    ],
)
def test_attention_masks_stay_float(tmp_path: Path, value: float, reasons: dict[str, str]) -> None:
    observer = observed(attention(tmp_path / "m.tflite", added(value)), masks(0, (8, 5, 3)))
    found = kept(observer)
    assert set(found) == set(reasons)
    assert all(reasons[kind] in found[kind] for kind in reasons)


def test_a_mask_that_no_sample_uses_stays_float_too(tmp_path: Path) -> None:
    observer = observed(attention(tmp_path / "m.tflite", added(-1e4)), masks(0, (8, 8)))
    found = kept(observer)
    assert set(found) == {"SUB", "MUL", "ADD"}
    assert all("zero in all calibration samples" in reason for reason in found.values())


def test_inputs_are_found_by_the_names_of_the_signature(conv_net: TFLiteModel) -> None:
    model = fb.read(conv_net.path.read_bytes())
    (index,) = model.subgraphs[0].inputs
    assert input_tensors(model) == {"image": index}
    model.signatureDefs = None
    assert input_tensors(model) == {"serving_default_image": index}
