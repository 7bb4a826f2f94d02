"""What accuracy is of a task: forms of outputs and labels, the numbers, and who lost what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeworthy.artifact import TensorSpec
from edgeworthy.errors import BadInput
from edgeworthy.validate import accuracy
from edgeworthy.validate.accuracy import task_of
from edgeworthy.validate.detection import corners, suppressed
from edgeworthy.validate.inputs import Labelled, labelled, load_labelled
from edgeworthy.validate.results import AccuracyResult

from .numpy_runner import subject

Arrays = dict[str, Any]
RANDOM = np.random.default_rng(0)
SIDE = 8
IMAGE = (TensorSpec("image", "float32", ("batch", 1, SIDE, SIDE)),)
COUNT = 70


def numbered() -> NDArray[np.float32]:
    """Images that say which sample they are, for runners that look answers up."""
    return np.arange(COUNT, dtype=np.float32)[:, None, None, None] + np.zeros((1, 1, SIDE, SIDE), np.float32)


def looked_up(**answers: NDArray[Any]) -> Callable[[Arrays], Arrays]:
    def run(feeds: Arrays) -> Arrays:
        at = feeds["image"][:, 0, 0, 0].astype(int)
        return {name: array[at] for name, array in answers.items()}

    return run


def measured(
    task: str, data: Labelled, *runs: Callable[[Arrays], Arrays], box_format: str | None = None
) -> AccuracyResult:
    subjects = [subject(f"run {number}", run) for number, run in enumerate(runs)]
    result = accuracy.measure(subjects, data, IMAGE, task=task_of(task, data, box_format))
    assert AccuracyResult.model_validate_json(result.model_dump_json()) == result
    return result


def test_flipped_pairs_and_worst_samples() -> None:
    labels = RANDOM.integers(0, 4, COUNT)
    data = labelled({"image": numbered()}, labels, IMAGE)
    before, after = np.eye(4, dtype=np.float32)[labels], np.eye(4, dtype=np.float32)[labels]
    before[:3], after[5:10] = np.roll(before[:3], 1, 1), np.roll(after[5:10], 1, 1)
    result = measured("classification", data, looked_up(s=before), looked_up(s=after))
    row = result.rows[1]
    assert (row.lost, row.won, row.changed, row.drop) == (5, 3, 8, pytest.approx(2 / COUNT))
    assert [w.sample for w in row.worst] == [5, 6, 7, 8, 9]
    first = row.worst[0]
    assert (first.label, first.before, first.after, first.loss) == (
        str(labels[5]), str(labels[5]), str((labels[5] + 1) % 4), 1.0,
    )  # fmt: skip
    assert first.picture.startswith("data:image/png;base64,")
    assert not result.rows[0].worst


def test_the_report_shows_eight_samples_of_all_rows() -> None:
    labels = np.zeros(COUNT, int)
    data = labelled({"image": numbered()}, labels, IMAGE)
    right, wrong = np.eye(2, dtype=np.float32)[labels], np.eye(2, dtype=np.float32)[1 - labels]
    result = measured("classification", data, *(looked_up(s=s) for s in (right, wrong, wrong, wrong)))
    assert [len(row.worst) for row in result.rows] == [0, 3, 3, 2]


# -- segmentation --------------------------------------------------------------------------------------


def iou(said: NDArray[Any], true: NDArray[Any], classes: int) -> float:
    """An independent reading, by sets of pixels."""
    shares = []
    for c in range(classes):
        a, b = {*np.flatnonzero(said == c)}, {*np.flatnonzero(true == c)}
        if a | b:
            shares.append(len(a & b) / len(a | b))
    return float(np.mean(shares))


@pytest.mark.parametrize("form", ["nchw", "nhwc", "classes"])
def test_segmentation(form: str) -> None:
    labels = RANDOM.integers(0, 3, (COUNT, 6, 7))
    said = np.where(RANDOM.random(labels.shape) < 0.2, 3, labels)
    scores = np.moveaxis(np.eye(5, dtype=np.float32)[said], 3, 1)
    output = {"nchw": scores, "nhwc": np.moveaxis(scores, 1, 3), "classes": said}[form]
    ignored = np.where(RANDOM.random(labels.shape) < 0.1, 255, labels)
    data = labelled({"image": numbered()}, ignored, IMAGE, task="segmentation")
    perfect = {"nchw": np.moveaxis(np.eye(5, dtype=np.float32)[labels], 3, 1), "classes": labels}
    perfect["nhwc"] = np.moveaxis(perfect["nchw"], 1, 3)
    result = measured("segmentation", data, looked_up(m=perfect[form]), looked_up(m=output))
    counted = ignored != 255
    first, second = result.rows
    assert result.metric == "mIoU" and first.accuracy == 1.0
    assert second.accuracy == pytest.approx(iou(said[counted], labels[counted], 5))
    assert second.more["pixels right"] == pytest.approx(np.mean((said == labels)[counted]))
    assert second.low is not None and second.high is not None and second.low < second.accuracy < second.high
    assert second.drop_low is not None and 0 < second.drop_low < (second.drop or 0)
    assert (second.lost, second.won, second.correct) == (COUNT, 0, None)


def test_the_bootstrap_is_paired_and_seeded() -> None:
    labels = RANDOM.integers(0, 3, (COUNT, 4, 4))
    noisy = np.where(RANDOM.random(labels.shape) < 0.3, 0, labels)
    data = labelled({"image": numbered()}, labels, IMAGE, task="segmentation")
    one, same = (measured("segmentation", data, looked_up(m=noisy), looked_up(m=noisy)) for _ in range(2))
    assert one == same
    row = one.rows[1]
    assert (row.drop, row.drop_low, row.drop_high, row.lost, row.won) == (0, 0, 0, 0, 0)
    assert row.low is not None and row.high is not None and row.low < row.high


# -- detection -----------------------------------------------------------------------------------------


def objects() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Corners and classes: two objects an image, -1 where there is one."""
    low = RANDOM.uniform(0, 300, (COUNT, 2, 2))
    boxes = np.concatenate((low, low + RANDOM.uniform(20, 100, (COUNT, 2, 2))), 2)
    classes = RANDOM.integers(0, 3, (COUNT, 2))
    classes[::4, 1] = -1
    return boxes, classes


BOXES, KINDS = objects()


def detections(form: str, moved: float = 0.0) -> Callable[[Arrays], Arrays]:
    boxes = (BOXES + moved).astype(np.float32)
    scores = np.where(KINDS >= 0, 0.9, 0).astype(np.float32)
    each = scores[..., None] * np.eye(3, dtype=np.float32)[KINDS]
    if form == "apart":
        return looked_up(boxes=boxes, scores=scores, labels=np.maximum(KINDS, 0))
    if form == "floats":
        return looked_up(a=boxes, b=scores, c=np.maximum(KINDS, 0).astype(np.float32))
    if form == "per class":
        return looked_up(a=boxes, b=each)
    if form == "rows":
        return looked_up(
            y=np.concatenate((boxes, scores[..., None], np.maximum(KINDS, 0)[..., None]), 2).astype(np.float32)
        )
    middles = np.concatenate(((boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]), 2)
    raw = np.concatenate((middles, each), 2)
    raw = np.concatenate((raw, np.zeros((COUNT, 20, 7), np.float32)), 1)
    return looked_up(y=raw.transpose(0, 2, 1) if form == "yolo" else raw)


def of_objects() -> Labelled:
    table = np.concatenate((BOXES, KINDS[..., None]), 2)
    return labelled({"image": numbered()}, table, IMAGE, task="detection")


@pytest.mark.parametrize("form", ["apart", "floats", "per class", "rows", "yolo", "yolo rows"])
def test_detection_in_every_form(form: str) -> None:
    result = measured("detection", of_objects(), detections(form), detections(form, moved=6.0))
    first, second = result.rows
    assert result.metric == "mAP@[.5:.95]"
    assert first.accuracy == pytest.approx(1) and first.more["mAP@.5"] == pytest.approx(1)
    assert second.accuracy is not None and 0.1 < second.accuracy < 0.9
    assert second.drop_low is not None and second.drop_high is not None
    assert 0 < second.drop_low < (second.drop or 0) < second.drop_high
    assert second.lost and second.won == 0 and second.worst[0].before == "mAP 1.000"


def test_box_formats() -> None:
    xyxy = np.array([[10.0, 20, 40, 80]])
    for form, box in {
        "xyxy": xyxy,
        "yxyx": [[20, 10, 80, 40]],
        "xywh": [[10, 20, 30, 60]],
        "cxcywh": [[25, 50, 30, 60]],
    }.items():
        np.testing.assert_array_equal(corners(np.array(box, np.float64), form), xyxy)
    swapped = looked_up(a=BOXES[..., [1, 0, 3, 2]].astype(np.float32), b=np.eye(3, dtype=np.float32)[KINDS])
    result = measured("detection", of_objects(), swapped, box_format="yxyx")
    assert result.rows[0].accuracy is not None and result.rows[0].accuracy > 0.7


def test_suppression_is_of_a_class() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9.5], [50, 50, 60, 60]], np.float64)
    found = suppressed(boxes, np.array([[0.9, 0], [0.8, 0.7], [1e-4, 0.5]]))
    assert [tuple(row) for row in zip(found.classes, found.scores, strict=True)] == [(0, 0.9), (1, 0.7), (1, 0.5)]


def test_what_is_no_detection() -> None:
    with pytest.raises(BadInput, match="another unit"):
        measured(
            "detection",
            of_objects(),
            looked_up(a=(BOXES / 640).astype(np.float32), b=np.eye(3, dtype=np.float32)[KINDS]),
        )
    with pytest.raises(BadInput, match="no boxes in a form"):
        measured("detection", of_objects(), looked_up(y=np.zeros((COUNT, 9), np.float32)))
    with pytest.raises(BadInput, match="5 values of a box, and the labels have 3 classes"):
        measured("detection", of_objects(), looked_up(y=np.zeros((COUNT, 5, 20), np.float32)))
    task = task_of("detection", of_objects())
    with pytest.raises(BadInput, match="no boxes in a form"):
        task.check([TensorSpec("y", "float32", (1, 10))])


# -- labels --------------------------------------------------------------------------------------------


def test_objects_in_arrays_and_in_lists_are_the_same(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", image=numbered(), boxes=BOXES, classes=KINDS)
    np.savez(tmp_path / "images.npz", image=numbered())
    lists = [
        [{"box": list(box), "class": int(kind)} for box, kind in zip(*row, strict=True) if kind >= 0]
        for row in zip(BOXES, KINDS, strict=True)
    ]
    (tmp_path / "o.json").write_text(json.dumps({"inputs": "images.npz", "objects": lists}))
    arrays = load_labelled(tmp_path / "arrays.npz", IMAGE, task="detection")
    listed = load_labelled(tmp_path / "o.json", IMAGE, task="detection")
    for a, b in zip(arrays.labels, listed.labels, strict=True):
        np.testing.assert_array_equal(a[a[:, 4] >= 0], b[b[:, 4] >= 0])


@pytest.mark.parametrize(
    ("task", "arrays", "message"),
    [
        ("detection", {"labels": KINDS}, "the file has no objects"),
        ("detection", {"boxes": BOXES, "classes": KINDS[:, :1]}, "boxes are float64"),
        ("detection", {"boxes": BOXES, "classes": KINDS * 1.0}, "classes float64"),
        ("detection", {"boxes": BOXES[..., [2, 3, 0, 1]], "classes": KINDS}, "no corner below"),
        ("detection", {"boxes": BOXES * np.nan, "classes": KINDS}, "no corner below"),
        ("detection", {"boxes": BOXES, "classes": KINDS * 0 - 1}, "there is no object"),
        ("segmentation", {"labels": KINDS}, "class of each pixel"),
        ("segmentation", {"labels": KINDS[..., None] * 1.0}, "class of each pixel"),
        ("classification", {"labels": KINDS}, "labels must be classes"),
        ("classification", {"boxes": BOXES, "classes": KINDS}, "the file has no labels"),
    ],
)
def test_labels_of_another_task(tmp_path: Path, task: str, arrays: Arrays, message: str) -> None:
    np.savez(tmp_path / "d.npz", image=numbered(), **arrays)
    with pytest.raises(BadInput, match=message):
        load_labelled(tmp_path / "d.npz", IMAGE, task=task)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"objects": []}', '{"inputs": "i.npz", "objects": [[{"box": [1, 2, 3], "class": 0}]]}',
             '{"inputs": "i.npz", "objects": [[{"box": [1, 2, 3, 4]}]]}'],
)  # fmt: skip
def test_lists_of_another_form(tmp_path: Path, text: str) -> None:
    np.savez(tmp_path / "i.npz", image=numbered()[:1])
    (tmp_path / "o.json").write_text(text)
    with pytest.raises(BadInput, match="holds no objects"):
        load_labelled(tmp_path / "o.json", IMAGE, task="detection")
    with pytest.raises(BadInput, match="are of objects"):
        load_labelled(tmp_path / "o.json", IMAGE)


def test_pixels_of_another_size() -> None:
    data = labelled({"image": numbered()}, np.zeros((COUNT, 6, 6), int), IMAGE, task="segmentation")
    with pytest.raises(BadInput, match="6 × 6 pixels"):
        measured("segmentation", data, looked_up(y=np.zeros((COUNT, 3, 5, 5), np.float32)))
    with pytest.raises(BadInput, match="resize the labels"):
        task_of("segmentation", data).check([TensorSpec("y", "float32", (1, 3, 5, 5))])


# -- a metric of the user's own ------------------------------------------------------------------------

METRICS = """
import numpy as np

def near(outputs, labels):
    return -np.abs(outputs["y"][:, 0] - labels)

def whole(outputs, labels):
    return float(np.corrcoef(outputs["y"][:, 0], labels)[0, 1])

def words(outputs, labels):
    return "good"

def breaks(outputs, labels):
    raise KeyError("scores")
"""


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(METRICS)
    return tmp_path / "own.py"


def test_a_metric_of_the_users_own(metrics: Path) -> None:
    labels = RANDOM.normal(size=COUNT)
    data = labelled({"image": numbered()}, labels, IMAGE, task=f"{metrics}:near")
    noisy = labels + RANDOM.normal(size=COUNT)
    runs = [looked_up(y=y[:, None].astype(np.float64)) for y in (labels, noisy)]
    result = measured(f"{metrics}:near", data, *runs)
    row = result.rows[1]
    assert (result.metric, row.accuracy) == ("near", pytest.approx(-np.abs(noisy - labels).mean()))
    assert (row.lost, row.won) == (COUNT, 0) and row.worst[0].sample == int(np.argmax(np.abs(noisy - labels)))
    result = measured(f"{metrics}:whole", data, *runs)
    row = result.rows[1]
    assert row.accuracy == pytest.approx(np.corrcoef(noisy, labels)[0, 1])
    assert row.drop_low is not None and 0 < row.drop_low < (row.drop or 0) and row.worst == []


@pytest.mark.parametrize(
    ("name", "message"),
    [("words", "gives str"), ("breaks", "the metric raised: KeyError"), ("absent", "no function 'absent'")],
)
def test_metrics_that_are_none(metrics: Path, name: str, message: str) -> None:
    data = labelled({"image": numbered()}, np.zeros(COUNT), IMAGE, task=f"{metrics}:{name}")
    with pytest.raises(BadInput, match=message):
        measured(f"{metrics}:{name}", data, looked_up(y=np.zeros((COUNT, 1))))


def test_no_such_task() -> None:
    with pytest.raises(BadInput, match="no task 'detections'"):
        task_of("detections", of_objects())
