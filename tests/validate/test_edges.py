"""Edges: what is lost there is seen, and what no artifact can help doesn't fail it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeworthy.source.variations import random_samples
from edgeworthy.validate import parity
from edgeworthy.validate.edges import Edge
from edgeworthy.validate.judge import Rules
from edgeworthy.validate.results import Hop
from edgeworthy.validate.summary import SummaryRow

from .numpy_runner import Function, subject

EXAMPLE = {"x": np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)}
SAMPLES = random_samples(EXAMPLE, 4)


def in_type(dtype: Any, function: Any) -> Function:
    def run(feeds: dict[str, Any]) -> dict[str, Any]:
        with np.errstate(all="ignore"):
            made = function(feeds["x"].astype(dtype))
        arrays = made if isinstance(made, dict) else {"y": made}
        return {n: np.asarray(a, dtype) if a.dtype.kind == "f" else a for n, a in arrays.items()}

    return run


def judged(
    module: Any,
    artifact: Any,
    dtype: Any = np.float32,
    samples: Any = None,
    atol: dict[str, float] | None = None,
    **options: Any,
) -> Hop:
    """The hop of an artifact; module and artifact are functions of one array."""
    truth = subject("PyTorch float64", in_type(np.float64, module), runtime="pytorch", scheme="float64")
    single = subject("PyTorch", in_type(dtype, module), runtime="pytorch")
    other = subject("other", in_type(dtype, artifact), artifact="a", **options)
    result = parity.measure(
        [single, other],
        samples or SAMPLES,
        plans=[parity.Plan(truth, single, truth, parity.PYTORCH)],
        at=Edge.of(EXAMPLE),
        drawn=3,
        rules=Rules(float_type=np.dtype(dtype).name, atol=atol or {}),
    )
    found = result.hop("other")
    assert found is not None
    return found


def normalized(eps: float) -> Any:
    return lambda x: x / (np.abs(x).sum(-1, keepdims=True) + np.asarray(eps, x.dtype))


def top(x: Any) -> Any:
    order = np.argsort(-x, -1, kind="stable")[:, :3]
    return {"values": np.take_along_axis(x, order, -1), "indices": order}


def other_top(x: Any) -> Any:
    order = x.shape[-1] - 1 - np.argsort(-x[:, ::-1], -1, kind="stable")[:, :3]
    return {"values": np.take_along_axis(x, order, -1), "indices": order}


def shown(hop: Hop) -> str:
    """What the table has beside the verdict."""
    return SummaryRow(name=hop.name, key="a", hop=hop).parity


@pytest.mark.parametrize(
    ("module", "artifact", "where", "error"),
    [
        (normalized(1e-9), normalized(0), "zeros", None),
        (lambda x: np.sqrt(np.abs(x) + 1e-9), lambda x: np.sqrt(np.abs(x) + 2e-9), "zeros", 2e-9**0.5 - 1e-9**0.5),
        (lambda x: x * 2, lambda x: x * np.where(np.abs(x).max() > 50, 2.5, 2).astype(x.dtype), "large values", None),
    ],
)
def test_the_table_says_why_a_small_figure_fails(module: Any, artifact: Any, where: str, error: float | None) -> None:
    """On the samples all is well, so the figure alone, 0.9× noise, would contradict the verdict."""
    hop = judged(module, artifact)
    (output,) = hop.outputs
    assert hop.status == "fail" and output.noise_ratio is not None and output.noise_ratio < 10
    assert where in [e.edge for e in output.edges]
    assert shown(hop).endswith(f", off on {where}"), shown(hop)
    assert f"{output.noise_ratio:.3g}× the noise floor" in hop.reason and len(hop.reason) < 400
    assert hop.remedy.startswith("if the model can get such inputs")
    if error is not None:
        allowed = float(hop.remedy.rpartition("--atol y:")[2])
        assert output.edges[0].max_abs == pytest.approx(error, rel=1e-3)
        assert error <= allowed <= 2 * error
        assert judged(module, artifact, atol={"y": allowed}).status == "pass"


def test_of_several_outputs_the_table_shows_the_one_that_fails() -> None:
    def scores(x: Any) -> dict[str, Any]:
        return {"scores": x * 2, "classes": np.argmax(x, -1)}

    def wrong(x: Any) -> dict[str, Any]:
        return scores(x) | {"classes": np.argmin(x, -1)}

    assert shown(judged(scores, scores)) == "exact"
    hop = judged(scores, wrong)
    assert shown(hop).endswith("% equal") and "classes: " in hop.reason and "scores" not in hop.reason
    assert hop.remedy
    extra = judged(lambda x: x * 2, lambda x: {"y": x * 2, "z": x})
    assert shown(extra) == "unknown output" and extra.remedy


def test_a_tolerance_that_is_broken_stands_beside_the_figure() -> None:
    hop = judged(lambda x: x * 2, lambda x: x * np.asarray(2 + 1e-6, x.dtype), atol={"y": 1e-12})
    assert hop.status == "fail"
    assert shown(hop).endswith("× noise, outside the tolerance"), shown(hop)
    allowed = float(hop.remedy.partition("--atol y:")[2].partition(",")[0])
    assert judged(lambda x: x * 2, lambda x: x * np.asarray(2 + 1e-6, x.dtype), atol={"y": allowed}).status == "pass"


@pytest.mark.parametrize("eps", [1e-9, 1e-12, 1e-30])
def test_a_lost_epsilon_is_seen(eps: float) -> None:
    assert judged(normalized(eps), normalized(eps)).status == "pass"
    hop = judged(normalized(eps), normalized(0))
    assert hop.status == "fail"
    assert "on zeros: 40 of 40 elements are NaN" in hop.reason and "the samples themselves pass" in hop.reason


def test_a_wrong_number_at_an_edge_is_seen() -> None:
    hop = judged(lambda x: np.sqrt(np.abs(x) + 1e-9), lambda x: np.sqrt(np.abs(x) + 2e-9))
    assert hop.status == "fail" and "on zeros: 40 of 40 elements are off" in hop.reason


def test_what_float32_itself_cannot_hold_fails_nothing() -> None:
    """Overflow, NaN in PyTorch float32 alone, NaN in the truth: none is the artifact's fault."""
    assert judged(np.exp, np.exp).status == "pass"
    big = np.finfo(np.float32).max
    assert judged(np.exp, lambda x: np.minimum(np.exp(x), big)).status == "pass"
    assert judged(lambda x: x / x, lambda x: np.where(x == 0, 0, x / x)).status == "pass"
    softmax = lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)  # noqa: E731
    stable = lambda x: softmax(x - x.max(-1, keepdims=True))  # noqa: E731
    assert judged(softmax, stable).status == "pass"


def test_a_huge_floor_at_one_edge_hides_nothing_elsewhere() -> None:
    hop = judged(lambda x: x**9, lambda x: x**9 + np.where(np.abs(x) < 1e-4, 1e-3, 0).astype(x.dtype))
    assert hop.status == "fail" and "on zeros" in hop.reason and "on large" not in hop.reason


def test_indices_of_tied_values_may_differ_and_no_others() -> None:
    assert judged(top, other_top).status == "pass"

    def wrong(x: Any) -> Any:
        made = top(x)
        return made | {"indices": np.where(np.abs(x).max() > 50, made["indices"] + 1, made["indices"])}

    hop = judged(top, wrong)
    assert hop.status == "fail" and "on large values: 15 of 15 elements differ" in hop.reason


def test_what_is_gathered_by_tied_indices_may_differ_too() -> None:
    table = np.arange(8.0) * 10

    def gathered(which: Any) -> Any:
        return lambda x: table.astype(x.dtype)[which(x)["indices"]]

    assert judged(gathered(top), gathered(other_top)).status == "pass"


def test_ties_within_the_noise_of_float32_are_not_made() -> None:
    """A bias hides small inputs: what is ranked then must not hang on the last bit."""
    bias = np.linspace(1, 1, 8)

    def ranked(order: int) -> Any:
        return lambda x: top((x[:, ::order] * np.asarray(0.3, x.dtype) + bias.astype(x.dtype))[:, ::order])

    assert judged(ranked(1), ranked(-1)).status == "pass"


def test_when_only_random_inputs_fail_it_is_said() -> None:
    first = np.abs(EXAMPLE["x"]).max()
    hop = judged(lambda x: x * 2, lambda x: x * (2 if np.abs(x).max() == first else 3))
    assert hop.status == "fail" and "the example itself passes" in hop.reason
    everywhere = judged(lambda x: x * 2, lambda x: x * 3)
    assert everywhere.status == "fail" and "example itself" not in everywhere.reason


def test_half_precision_has_a_floor_of_its_own() -> None:
    half = np.float16
    module = lambda x: x * 2  # noqa: E731  # exact: no measured noise
    assert judged(module, lambda x: x * np.asarray(2.002, x.dtype), half).status == "pass"
    assert judged(module, lambda x: x * np.asarray(2.1, x.dtype), half).status == "fail"
    assert judged(module, lambda x: x * np.asarray(2.002, x.dtype)).status == "fail"


def test_quantized_files_are_not_asked_for_edges() -> None:
    assert judged(normalized(1e-9), normalized(0), scheme="float16").status == "pass"


def test_runtimes_may_take_subnormal_numbers_for_zero() -> None:
    cubed = lambda x: x**13  # noqa: E731
    flushed = lambda x: np.where(np.abs(x**13) < 2.0**-126, 0, x**13)  # noqa: E731
    assert judged(cubed, flushed).status == "pass"


@pytest.mark.parametrize("size", [1024, 4096])
def test_a_sum_in_another_order_is_no_fault(size: int) -> None:
    """PyTorch sums pairwise; eight running sums, as SIMD kernels keep them, are off by more where numbers are equal."""

    def pairwise(x: Any) -> Any:
        return np.repeat(np.abs(x), size // 8, -1).mean(-1)

    def in_lanes(x: Any) -> Any:
        lanes = np.repeat(np.abs(x), size // 8, -1).reshape(*x.shape[:-1], -1, 8)
        return (np.cumsum(lanes, -2, dtype=x.dtype)[..., -1, :].sum(-1) / size).astype(x.dtype)

    hop = judged(pairwise, in_lanes)
    assert hop.status == "pass", hop.reason
