"""What detectors do with boxes: one class or many, ties, boxes without an area or outside the image, nothing found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from ...conformance.adapters import convert_to, run_tflite
from .against_ort import Feeds, assert_agrees, model_of

F32, I64 = np.float32, np.int64
COUNT = 40


def _boxes(rng: np.random.Generator, batches: int) -> Any:
    """On a coarse grid, so that overlaps are often equal and equal to the threshold; some without an area, some whose
    corners are swapped."""
    corner = rng.integers(0, 8, (batches, COUNT, 2))
    boxes = np.concatenate([corner, corner + rng.integers(0, 5, (batches, COUNT, 2))], 2).astype(F32)
    boxes[:, ::7] = boxes[:, ::7, [2, 1, 0, 3]]
    boxes[:, 5] = boxes[:, 6]
    return boxes


def _scores(rng: np.random.Generator, batches: int, classes: int) -> Any:
    """Eighths: many are equal."""
    return (rng.integers(0, 9, (batches, classes, COUNT)) / 8).astype(F32)


def _feeds(batches: int, classes: int) -> list[Feeds]:
    rng = np.random.default_rng(0)
    found = {"boxes": _boxes(rng, batches), "scores": _scores(rng, batches, classes)}
    nothing = {"boxes": found["boxes"], "scores": np.full_like(found["scores"], 0.125)}
    one = {"boxes": found["boxes"], "scores": np.full_like(found["scores"], 0.125)}
    one["scores"][-1, -1, 11] = 0.9
    equal = {"boxes": np.ones_like(found["boxes"]) * np.array([0, 0, 2, 2], F32), "scores": found["scores"]}
    return [found, nothing, one, equal]


@pytest.mark.parametrize(
    ("batches", "classes", "most", "overlap", "score", "centre"),
    [
        (1, 1, 100, 0.5, 0.25, 0),
        (1, 1, 3, 0.0, 0.25, 1),
        (1, 3, 1 << 40, 0.5, 0.25, 0),
        (2, 3, 5, 1 / 3, 0.5, 1),
        (1, 2, 7, 1.0, 0.25, 0),
        (1, 2, 7, 0.25, None, 0),
    ],
)
def test_the_boxes_that_stay(
    batches: int, classes: int, most: int, overlap: float, score: float | None, centre: int, tmp_path: Path
) -> None:
    constants = {"most": np.array([most], I64), "overlap": np.array([overlap], F32)}
    if score is not None:
        constants["least"] = np.array([score], F32)
    model = model_of(
        f"(float[{batches},{COUNT},4] boxes, float[{batches},{classes},{COUNT}] scores) => (int64[n,3] kept)",
        f"kept = NonMaxSuppression<center_point_box={centre}>"
        f"(boxes, scores, most, overlap{', least' if score is not None else ''})",
        constants,
    )
    assert_agrees(model, _feeds(batches, classes), tmp_path)


@pytest.mark.parametrize("overlap", [0.0, 1 / 3, 0.5, 1.0])
def test_thresholds_and_a_limit_that_are_computed(overlap: float, tmp_path: Path) -> None:
    model = model_of(
        f"(float[1,{COUNT},4] boxes, float[1,2,{COUNT}] scores, int64 most, float overlap, float least)"
        " => (int64[n,3] kept)",
        "kept = NonMaxSuppression(boxes, scores, most, overlap, least)",
    )
    given = {"overlap": np.array(overlap, F32), "least": np.array(0.25, F32)}
    feeds = [{**feed, **given, "most": np.array(most, I64)} for feed in _feeds(1, 2) for most in (4, 1000)]
    assert_agrees(model, feeds, tmp_path, artifacts=["tflite"])


def test_a_dynamic_number_of_boxes(tmp_path: Path) -> None:
    model = model_of(
        "(float[1,boxes,4] boxes, float[1,2,boxes] scores) => (int64[n,3] kept)",
        "kept = NonMaxSuppression(boxes, scores, most, overlap, least)",
        {"most": np.array([9], I64), "overlap": np.array([0.5], F32), "least": np.array([0.25], F32)},
    )
    feeds = [
        {"boxes": feed["boxes"][:, :count], "scores": feed["scores"][:, :, :count]}
        for feed in _feeds(1, 2)
        for count in (1, 17, COUNT)
    ]
    assert_agrees(model, feeds, tmp_path)


def test_a_detector_to_its_end(tmp_path: Path) -> None:
    """Boxes decoded from anchors, scores by a sigmoid, and of what is kept the boxes, the scores and the classes, with
    a list of any length, none at all among them."""
    rng = np.random.default_rng(1)
    nodes = """
        shift, log_size = Split<axis=2, num_outputs=2>(deltas)
        centre = Add(anchor_centre, shift)
        size = Exp(log_size)
        decoded = Concat<axis=2>(centre, size)
        probability = Sigmoid(logits)
        by_class = Transpose<perm=[0,2,1]>(probability)
        kept = NonMaxSuppression<center_point_box=1>(decoded, by_class, most, overlap, least)
        of_batch = Gather<axis=1>(kept, zero)
        label = Gather<axis=1>(kept, one)
        index = Gather<axis=1>(kept, two)
        of_batch_1 = Unsqueeze(of_batch, at_one)
        index_1 = Unsqueeze(index, at_one)
        place = Concat<axis=1>(of_batch_1, index_1)
        boxes = GatherND(decoded, place)
        score = GatherND(by_class, kept)
    """
    model = model_of(
        f"(float[1,{COUNT},4] deltas, float[1,{COUNT},5] logits)"
        " => (float[n,4] boxes, float[n] score, int64[n] label)",
        nodes,
        {
            "anchor_centre": rng.integers(0, 9, (1, COUNT, 2)).astype(F32),
            "most": np.array([20], I64), "overlap": np.array([0.45], F32), "least": np.array([0.25], F32),
            "zero": np.array(0, I64), "one": np.array(1, I64), "two": np.array(2, I64), "at_one": np.array([1], I64),
        },
    )  # fmt: skip
    deltas = rng.standard_normal((1, COUNT, 4)).astype(F32)
    logits = rng.standard_normal((1, COUNT, 5)).astype(F32)
    feeds = [{"deltas": deltas, "logits": logits * scale - shift} for scale, shift in ((1, 0), (2, 1), (0, 1), (0, 9))]
    assert_agrees(model, feeds, tmp_path)


REGIONS = np.array(
    [[1, 2, 14, 9], [0, 0, 31, 23], [-6, -3, 40, 30], [5, 5, 5, 5], [9, 3, 4, 1], [2.5, 3.25, 6.75, 9.5]], F32
)


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("pixel", ["half_pixel", "output_half_pixel"])
def test_the_mean_of_regions(ratio: int, pixel: str, tmp_path: Path) -> None:
    model = model_of(
        "(float[2,3,12,16] x, float[r,4] rois, int64[r] of_batch) => (float[r,3,5,4] y)",
        f"y = RoiAlign<output_height=5, output_width=4, spatial_scale=0.5, sampling_ratio={ratio},"
        f' coordinate_transformation_mode="{pixel}">(x, rois, of_batch)',
    )
    x = np.random.default_rng(0).standard_normal((2, 3, 12, 16)).astype(F32)
    feeds = [{"x": x, "rois": REGIONS[:n], "of_batch": np.arange(n, dtype=I64) % 2} for n in (len(REGIONS), 4, 1, 0)]
    assert_agrees(model, feeds, tmp_path)


@pytest.mark.parametrize("ratio", [0, 2])
def test_the_maximum_of_regions(ratio: int, tmp_path: Path) -> None:
    """Of each sample's weighted elements, as ONNX's reference has it."""
    model = model_of(
        "(float[2,3,12,16] x, float[6,4] rois, int64[6] of_batch) => (float[6,3,5,4] y)",
        f'y = RoiAlign<output_height=5, output_width=4, spatial_scale=0.5, sampling_ratio={ratio}, mode="max">'
        "(x, rois, of_batch)",
    )
    x = np.random.default_rng(0).standard_normal((2, 3, 12, 16)).astype(F32)
    feed = {"x": x, "rois": REGIONS, "of_batch": np.array([0, 1, 0, 1, 0, 1], I64)}
    (want,) = ReferenceEvaluator(onnx.load_from_string(model)).run(None, feed)
    got = run_tflite(convert_to("tflite", model, tmp_path), feed)["y"]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
