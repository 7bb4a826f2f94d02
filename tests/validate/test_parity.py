from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeworthy.errors import BadInput, CheckFailed, NotAvailable, OutOfMemory, RuntimeFailure
from edgeworthy.validate import parity
from edgeworthy.validate.judge import Rules
from edgeworthy.validate.results import Hop, ParityResult

from .numpy_runner import Function, NumpyRunner, subject

WEIGHTS = np.random.default_rng(0).normal(size=(64, 10))
SAMPLES = [{"x": np.random.default_rng(i).normal(size=(2, 64)).astype(np.float32)} for i in range(4)]


def dense(dtype: Any, *, scale: float = 1.0, order: int = 1) -> Function:
    """x·W in ``dtype``, its rows summed up in order or backwards; returned in ``dtype``."""

    def function(feeds: dict[str, Any]) -> dict[str, Any]:
        x, w = feeds["x"].astype(dtype)[:, ::order], (WEIGHTS * scale).astype(dtype)[::order]
        total = np.zeros((x.shape[0], 10), dtype)
        for k in range(64):
            total += np.outer(x[:, k], w[k]).astype(dtype)
        return {"y": total}

    return function


def noisy(size: float) -> Function:
    def function(feeds: dict[str, Any]) -> dict[str, Any]:
        y = dense(np.float64)(feeds)["y"]
        noise = np.random.default_rng(3).normal(0, size, y.shape)
        return {"y": (y + noise).astype(np.float32)}

    return function


TRUTH = subject("PyTorch float64", dense(np.float64), runtime="pytorch", scheme="float64")
SINGLE = subject("PyTorch", dense(np.float32), runtime="pytorch")
OTHER = subject("ONNX Runtime", dense(np.float32, order=-1), runtime="onnxruntime", artifact="onnx")
PLAN = parity.Plan(TRUTH, SINGLE, TRUTH, parity.PYTORCH)


def measure(*more: Any, **options: Any) -> ParityResult:
    return parity.measure([SINGLE, OTHER, *more], SAMPLES, **({"plans": [PLAN]} | options))


def hop(result: ParityResult, name: str) -> Hop:
    found = result.hop(name)
    assert found is not None
    return found


def test_float32_of_another_order_passes_by_the_noise_floor() -> None:
    result = measure()
    assert result.status == "pass"
    assert [h.name for h in result.hops] == ["PyTorch float64", "PyTorch", "ONNX Runtime"]
    assert [h.status for h in result.hops] == ["reference", "reference", "pass"]
    other = hop(result, "onnx").outputs[0]
    assert other.noise_ratio is not None and 0.1 < other.noise_ratio < 10
    assert other.vs_truth and other.vs_truth.max_abs > 0
    assert hop(result, "ONNX Runtime").previous == "PyTorch"
    assert hop(result, "PyTorch").outputs[0].noise_ratio == pytest.approx(1, rel=0.9)
    assert result.floor_method == parity.PYTORCH
    assert (result.samples, result.truth) == (4, "PyTorch float64")


def test_an_error_above_the_floor_fails() -> None:
    result = measure(subject("TFLite", noisy(1e-3), runtime="tflite"))
    assert result.status == "fail"
    assert hop(result, "TFLite").status == "fail"
    assert "noise floor" in hop(result, "TFLite").reason


def test_one_wrong_element_fails_though_the_rms_is_small() -> None:
    # rms over 1e6 elements is 1e-3 of the one error, about the floor; its maximum is not.
    size = 1_000_000
    base = np.random.default_rng(0).normal(size=size)
    wrong = base.astype(np.float32)
    wrong[17] += 1e-4
    truth = subject("a", lambda f: {"y": base}, scheme="float64")
    single = subject("b", lambda f: {"y": base.astype(np.float32)})
    bad = subject("c", lambda f: {"y": wrong})
    result = parity.measure([single, bad], [{}], plans=[parity.Plan(truth, single, truth, "m")])
    output = hop(result, "c").outputs[0]
    assert output.vs_truth and output.vs_truth.rms < 2 * (output.noise_floor or 0)
    assert hop(result, "c").status == "fail"


def test_an_exact_model_does_not_demand_exactness() -> None:
    exact = subject("t", lambda f: {"y": np.array([[2.0, 4.0]])}, scheme="float64")
    single = subject("s", lambda f: {"y": np.array([[2.0, 4.0]], np.float32)})
    near = subject("n", lambda f: {"y": np.nextafter(np.array([[2.0, 4.0]], np.float32), np.float32(9))})
    result = parity.measure([single, near], [{}], plans=[parity.Plan(exact, single, exact, "m")])
    assert result.floor[0].least
    assert result.floor[0].rms == pytest.approx(16 * 2.0**-23)
    assert hop(result, "n").status == "pass"


def test_quantized_files_are_judged_by_sqnr_against_the_float_file() -> None:
    floats = subject("TFLite float32", dense(np.float32, order=-1), runtime="tflite", artifact="tflite_float32")
    good = subject("TFLite int8", noisy(0.1), runtime="tflite", scheme="static_wi8_ai8")
    bad = subject("TFLite dynamic", noisy(5.0), runtime="tflite", scheme="dynamic_wi8_afp32")
    half = subject("TFLite float16", noisy(0.1), runtime="tflite", scheme="float16")
    result = measure(floats, half, good, bad)
    assert [h.status for h in result.hops[3:]] == ["pass", "fail", "pass", "fail"]
    assert {h.previous for h in result.hops[4:]} == {"TFLite float32"}
    assert hop(result, "TFLite float16").outputs[0].limit == "SQNR at least 40 dB"
    assert "SQNR" in hop(result, "TFLite int8").reason
    assert hop(result, "TFLite int8").outputs[0].noise_ratio is None
    strict = measure(floats, good, rules=Rules(sqnr_db={"*": 60.0}))
    assert hop(strict, "TFLite int8").status == "fail"


def test_top1_can_be_demanded() -> None:
    def swapped(feeds: dict[str, Any]) -> dict[str, Any]:
        y = dense(np.float32)(feeds)["y"]
        top = np.argmax(y, axis=1)
        y[np.arange(len(y)), top], y[:, 0] = y[:, 0], y[np.arange(len(y)), top]
        return {"y": y}

    int8 = subject("int8", swapped, scheme="static_wi8_ai8")
    low = Rules(sqnr_db={"*": -100.0})
    assert hop(measure(int8, rules=low), "int8").status == "pass"
    demanding = Rules(sqnr_db={"*": -100.0}, top1_agreement=0.99)
    assert hop(measure(int8, rules=demanding), "int8").status == "fail"


def test_explicit_tolerance_takes_the_place_of_the_floor() -> None:
    wide = subject("w", noisy(1e-4), runtime="w")
    assert hop(measure(wide), "w").status == "fail"
    assert hop(measure(wide, rules=Rules(atol={"y": 1e-2})), "w").status == "pass"
    assert hop(measure(wide, rules=Rules(atol={"*": 1e-6}, rtol={"*": 1e-7})), "w").status == "fail"
    assert hop(measure(wide, rules=Rules(atol={"z": 1e-2})), "w").status == "fail"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda y: y.T, "shape is [10, 2], and [2, 10]"),
        (lambda y: y.astype(np.float16), "dtype is float16, and float32"),
        (lambda y: np.where(y == y.max(), np.nan, y), "NaN"),
        (lambda y: np.where(y == y.max(), np.inf, y), "+Inf"),
    ],
)
def test_shape_dtype_nan_inf_come_before_numbers(change: Any, told: str) -> None:
    broken = subject("b", lambda f: {"y": change(dense(np.float32)(f)["y"])}, runtime="b")
    found = hop(measure(broken), "b")
    assert found.status == "fail"
    assert told in found.outputs[0].problems[0] and told in found.reason
    assert found.outputs[0].vs_truth is None


def test_missing_and_extra_outputs_fail() -> None:
    none = subject("none", lambda f: {})
    more = subject("more", lambda f: dense(np.float32)(f) | {"z": np.zeros(1)}, runtime="m")
    result = measure(none, more)
    assert hop(result, "none").outputs[0].problems == ["the output is missing"]
    assert hop(result, "none").status == hop(result, "more").status == "fail"
    assert "z: the truth has no such output" in hop(result, "more").reason
    assert [o.passed for o in hop(result, "more").outputs] == [True, False]


def test_a_failing_runtime_is_a_row_and_the_rest_goes_on() -> None:
    crashed = subject("c", dense(np.float32), error=RuntimeFailure("crashed with SIGSEGV in load"))
    absent = subject("a", dense(np.float32), error=NotAvailable("not installed", remedy="pip install x"))
    last = subject("l", dense(np.float32, order=-1), runtime="l")
    killed = subject("k", dense(np.float32), error=OutOfMemory("killed with SIGKILL in run"))
    result = measure(crashed, absent, killed, last)
    assert [h.status for h in result.hops[2:]] == ["pass", "error", "skipped", "error", "pass"]
    assert "SIGSEGV" in (hop(result, "c").failure or "")
    assert hop(result, "l").previous == "ONNX Runtime"
    assert result.status == "fail"
    assert measure(killed, last).status == "fail"


def test_without_float64_the_next_plan_stands_in() -> None:
    no64 = subject("PyTorch float64", dense(np.float64), error=RuntimeFailure("expected Float, got Double"))
    plain = subject("plain", dense(np.float32), runtime="onnxruntime")
    plans = [parity.Plan(no64, SINGLE, no64, parity.PYTORCH), parity.Plan(plain, OTHER, plain, parity.ONNX)]
    result = measure(plans=plans)
    assert [(h.name, h.status) for h in result.hops] == [
        ("PyTorch float64", "reference"),
        ("plain", "reference"),
        ("PyTorch", "pass"),
        ("ONNX Runtime", "reference"),
    ]
    assert (result.status, result.truth, result.floor_method) == ("pass", "plain", parity.ONNX)


def test_without_any_plan_the_first_that_runs_is_the_truth() -> None:
    result = measure(plans=[])
    assert (result.truth, result.floor_method) == ("PyTorch", parity.LEAST)
    assert all(f.least for f in result.floor)
    broken = subject("b", dense(np.float32), error=RuntimeFailure("no"))
    with pytest.raises(CheckFailed, match="no runtime could run"):
        parity.measure([broken], SAMPLES, plans=[])


def test_permutations_bring_channels_last_home() -> None:
    def nhwc(feeds: dict[str, Any]) -> dict[str, Any]:
        assert feeds["image"].shape == (1, 4, 5, 3)
        return {"out": feeds["image"] * np.float32(2)}

    nchw = subject("nchw", lambda f: {"out": f["image"] * np.float32(2)})
    last = subject(
        "nhwc", nhwc, runtime="t", permute_inputs={"image": (0, 2, 3, 1)}, permute_outputs={"out": (0, 3, 1, 2)}
    )
    image = np.random.default_rng(0).normal(size=(1, 3, 4, 5)).astype(np.float32)
    result = parity.measure([nchw, last], [{"image": image}], plans=[])
    assert hop(result, "nhwc").status == "pass"
    assert hop(result, "nhwc").outputs[0].shapes == [[1, 3, 4, 5]]


def test_exactly_equal_results_of_two_runtimes_are_remarked_on() -> None:
    same = subject("same", dense(np.float32, order=-1), runtime="tensorflow")
    twin = subject("twin", dense(np.float32, order=-1), runtime="tensorflow")
    result = measure(same, twin)
    assert "bit-identical to ONNX Runtime" in hop(result, "same").outputs[0].notes[0]
    assert hop(result, "same").status == "pass"
    assert hop(result, "twin").outputs[0].notes == []


def test_constant_and_nan_outputs_of_the_truth_are_remarked_on() -> None:
    constant = subject("c", lambda f: {"y": np.array([1.0, np.nan], np.float32)})
    result = parity.measure([constant], SAMPLES, plans=[])
    assert len(result.notes) == 2
    nothing = subject("n", lambda f: {"y": np.full(3, np.nan, np.float32)})
    assert parity.measure([nothing], SAMPLES, plans=[]).status == "fail"


def test_integer_outputs_must_be_equal_unless_quantized() -> None:
    truth = subject("t", lambda f: {"k": np.arange(20)})
    off = {"k": np.where(np.arange(20) == 3, 4, np.arange(20))}
    result = parity.measure(
        [truth, subject("float", lambda f: off), subject("int8", lambda f: off, scheme="static_wi8_ai8")],
        SAMPLES,
        plans=[],
    )
    assert [h.status for h in result.hops] == ["reference", "fail", "pass"]
    assert result.hops[1].reason == (
        "k: 0.95 of the elements equal, largest error 1, and the limit is: all elements equal"
    )


def test_nothing_runs_twice() -> None:
    counts: dict[str, int] = {}

    def counted(name: str, function: Function) -> Function:
        def call(feeds: dict[str, Any]) -> dict[str, Any]:
            counts[name] = counts.get(name, 0) + 1
            return function(feeds)

        return call

    a = subject("a", counted("a", dense(np.float64)), scheme="float64")
    b = subject("b", counted("b", dense(np.float32)))
    seen: list[tuple[str, int, int]] = []
    parity.measure(
        [b],
        SAMPLES,
        plans=[parity.Plan(a, b, a, "m")],
        progress=lambda name, done, total: seen.append((name, done, total)),
    )
    assert counts == {"a": 5, "b": 5}, "the first sample again, to see whether they are steady"
    assert seen == [("a", 0, 2), ("b", 1, 2)]


def test_bad_samples() -> None:
    with pytest.raises(BadInput, match="at least one"):
        parity.measure([SINGLE], [], plans=[])
    with pytest.raises(BadInput, match="'x' of sample 0 holds NaN"):
        parity.measure([SINGLE], [{"x": np.array([[np.nan]], np.float32)}], plans=[])


def test_result_survives_json() -> None:
    result = measure(subject("c", dense(np.float32), runner=NumpyRunner(noisy(1.0))))
    assert ParityResult.model_validate_json(result.model_dump_json()) == result


def test_a_pair_that_differs_by_more_than_noise_sets_no_floor() -> None:
    buggy = subject("reference", lambda f: {"y": dense(np.float64)(f)["y"] * 1.01}, scheme="float64")
    plain = subject("plain", dense(np.float32), runtime="onnxruntime")
    plans = [
        parity.Plan(buggy, OTHER, buggy, parity.PYTORCH, parity.AGREE_DB),
        parity.Plan(plain, OTHER, plain, parity.ONNX),
    ]
    result = parity.measure([OTHER, subject("bad", noisy(1e-3))], SAMPLES, plans=plans)
    assert [h.status for h in result.hops] == ["reference", "reference", "reference", "fail"]
    assert "40" in (hop(result, "reference").failure or "") and result.truth == "plain"
    good = parity.Plan(TRUTH, OTHER, TRUTH, parity.PYTORCH, parity.AGREE_DB)
    assert parity.measure([OTHER], SAMPLES, plans=[good]).floor_method == parity.PYTORCH


def detector(boxes: float = 1, scores: float = 1) -> Function:
    """Four boxes' sides in pixels and eight scores, [1, 12, 200], each multiplied by a factor."""

    def run(feeds: dict[str, Any]) -> dict[str, Any]:
        random = np.random.default_rng(np.abs(feeds["x"].view(np.int32)).ravel())
        sides, score = random.uniform(0, 640, (1, 4, 200)), random.uniform(0, 1, (1, 8, 200))
        return {"y": np.concatenate((sides * boxes, score * scores), 1).astype(np.float32)}

    return run


def test_scores_beside_boxes_are_judged_by_themselves() -> None:
    """A detector whose scores are all lost has 50 dB over all its channels."""
    truth = subject("truth", detector())
    good = subject("good", detector(0.99, 1.01), scheme="static_wi8_ai8")
    lost = subject("lost", detector(scores=0), scheme="static_wi8_ai8")
    result = parity.measure([truth, good, lost], SAMPLES, plans=[])
    assert hop(result, "good").status == "pass"
    (output,) = hop(result, "lost").outputs
    assert hop(result, "lost").status == "fail"
    assert output.vs_truth and (output.vs_truth.sqnr_db or 0) > 50
    assert [group.channels for group in output.groups] == ["0–3", "4–11"]
    assert "y: SQNR 0 dB in channels 4–11" in hop(result, "lost").reason
