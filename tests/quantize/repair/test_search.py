"""The order of the search, on a model whose noise and time are sums over its operators."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from edgeworthy.quantize.repair.budget import Budget, Quality
from edgeworthy.quantize.repair.candidate import Candidate
from edgeworthy.quantize.repair.fill import Stretch
from edgeworthy.quantize.repair.search import Search, SearchResult

DEFAULT, CORE = Candidate("default"), Candidate("arithmetic")


@dataclass
class Sums:
    """Operators: name → (kind, noise in int8, time in int8, time in float). Int16: no noise, ten times as long.

    With ranges at run time it takes float's time, times what is said of a kind.
    """

    operators: dict[str, tuple[str, float, float, float]]
    refuses: tuple[str, ...] = ()
    unpacked: float = 1e-9  # noise of an operator in float with int8 weights
    coarse: dict[str, float] = field(default_factory=dict)  # more of it, of some
    half: float = 1e-9  # … with float16 weights
    at_run_time: float = 1.0  # … with ranges found at run time; too much
    dynamic: dict[str, float] = field(default_factory=dict)  # kind → its time so ÷ that in float
    judged: list[Candidate] = field(default_factory=list)

    def judge(self, plan: Candidate) -> Quality:
        self.judged.append(plan)
        if plan.rounding.ranges in self.refuses:
            raise RuntimeError(f"{plan.rounding.ranges} is\nrefused")
        noise = sum(op[1] for name, op in self.operators.items() if name not in plan.computes)
        noise += self.unpacked * list(plan.computes.values()).count("weights")
        noise += self.half * list(plan.computes.values()).count("float16")
        noise += sum(more for name, more in self.coarse.items() if plan.computes.get(name) == "weights")
        noise += self.at_run_time * list(plan.computes.values()).count("dynamic")
        noise *= 0.5 if plan.transforms else 1.0
        noise *= {"mse": 0.5, "entropy": 2.0}.get(plan.rounding.ranges, 1.0)
        return Quality(-10 * math.log10(noise) if noise else math.inf)

    def ranking(self, plan: Candidate) -> list[tuple[str, str]]:
        names = sorted(self.operators, key=lambda name: -self.operators[name][1])
        return [(name, self.operators[name][0]) for name in names if name not in plan.computes]

    def integers(self, plan: Candidate) -> list[tuple[str, str]]:
        return [(name, op[0]) for name, op in self.operators.items() if name not in plan.computes]

    def quantized(self, plan: Candidate) -> list[tuple[str, str]]:
        floats = ("float32", "float16")
        return [(name, op[0]) for name, op in self.operators.items() if plan.computes.get(name) not in floats]

    def parts(self, plan: Candidate) -> list[Stretch]:
        names = [name for name, kind in self.integers(plan) if kind == "CONV_2D"]
        return [Stretch(tuple(names[i : i + 5]), (1.0,) * len(names[i : i + 5])) for i in range(0, len(names), 5)]

    def nanoseconds(self, plans: Sequence[Candidate]) -> list[float]:
        def time(plan: Candidate) -> float:
            total = 0.0
            for name, (kind, _, integer, floating) in self.operators.items():
                times = {"int8": integer, "int16": 10 * integer, "dynamic": self.dynamic.get(kind, 1) * floating}
                total += times.get(plan.computes.get(name, "int8"), floating)
            return total

        return [time(plan) for plan in plans]


def net(**noisy: float) -> Sums:
    """Twenty quiet convolutions, and what is given."""
    quiet = {f"conv{n}": ("CONV_2D", 1e-5, 1.0, 4.0) for n in range(20)}
    return Sums(quiet | {name: (name.rstrip("0123456789").upper(), noise, 1.0, 1.5) for name, noise in noisy.items()})


def found(
    bench: Sums,
    starts: Sequence[Candidate] = (DEFAULT,),
    methods: Sequence[str] = (),
    seconds: float = 60,
    **budget: float,
) -> SearchResult:
    return Search(bench, Budget(**budget), seconds=seconds).run(starts, methods)


def test_a_start_that_meets_the_budget_is_left_as_it_is() -> None:
    bench = net()
    outcome = found(bench)
    assert outcome.met and outcome.best.plan == DEFAULT


def test_a_kind_that_is_slower_in_integers_goes_to_float_though_the_budget_is_met() -> None:
    bench = net(prelu0=1e-6, prelu1=1e-6, add0=1e-6)
    bench.operators |= {"prelu0": ("PRELU", 1e-6, 9.0, 1.0), "prelu1": ("PRELU", 1e-6, 9.0, 1.0)}
    outcome = found(bench)
    assert outcome.met and set(outcome.best.plan.computes) == {"prelu0", "prelu1"}


def test_of_files_that_differ_in_ranges_alone_the_truest_is_taken_whatever_the_clock_says() -> None:
    """They have the same operators, so that what a run finds between them is noise, on small models more than 3 %."""
    bench = net()
    clock = bench.nanoseconds

    def noisy(plans: Sequence[Candidate]) -> list[float]:
        return [
            ns * (0.9 if plan.rounding.ranges == "entropy" else 1) for plan, ns in zip(plans, clock(plans), strict=True)
        ]

    bench.nanoseconds = noisy  # type: ignore[method-assign]
    outcome = found(bench, methods=("min_max", "mse", "entropy"))
    assert all(trial.met for trial in outcome.trials[:3])
    assert outcome.best.plan == DEFAULT.rounded(ranges="mse")


@pytest.mark.parametrize(("unpacked", "compute"), [(1e-9, "weights"), (1e-4, "float32")])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_as_few_operators_go_to_float_as_will_do(count: int, unpacked: float, compute: str) -> None:
    """Each of the noisy ones alone is too much; int8 weights of all leave room for integers, or don't."""
    bench = net(**{f"mul{n}": 0.01 * (n + 1) for n in range(count)})
    bench.unpacked = unpacked
    outcome = found(bench)
    assert outcome.met and outcome.best.plan.computes == {f"mul{n}": compute for n in range(count)}
    assert outcome.best.quality is not None and outcome.best.quality.sqnr_db >= 25


def test_what_the_budget_can_spare_goes_back() -> None:
    """A large own error that is ranked first, and then turns out to be needed no more."""
    bench = net(mul0=0.5, add0=0.4)
    hidden = bench.judge
    bench.ranking = lambda plan: [("conv0", "CONV_2D"), ("mul0", "MUL"), ("conv1", "CONV_2D"), ("add0", "ADD")]  # type: ignore[method-assign]
    outcome = found(bench)
    assert set(outcome.best.plan.computes) == {"mul0", "add0"} and hidden(outcome.best.plan).sqnr_db >= 25


def test_a_kind_is_lifted_as_a_whole_where_that_is_faster() -> None:
    """Both quiet and noisy ones of a kind; in float each of them is faster."""
    bench = net(softmax0=0.1)
    bench.operators |= {f"softmax{n}": ("SOFTMAX", 1e-6, 20.0, 1.0) for n in range(1, 5)}
    outcome = found(bench)
    assert set(outcome.best.plan.computes) == {f"softmax{n}" for n in range(5)}


def test_int16_is_taken_where_it_is_faster() -> None:
    bench = net(mul0=0.1)
    bench.operators["mul0"] = ("MUL", 0.1, 1.0, 50.0)
    assert found(bench).best.plan.computes == {"mul0": "int16"}


def test_of_several_starts_the_faster_one_wins() -> None:
    bench = net(mul0=0.1, softmax0=0.1)
    core = CORE.put(["mul0", "softmax0", "conv0"], "float32")
    outcome = found(bench, [DEFAULT, core])
    assert outcome.best.plan.kind == "default" and set(outcome.best.plan.computes) == {"mul0", "softmax0"}
    bench.operators["conv0"] = ("CONV_2D", 1e-5, 30.0, 4.0)
    assert found(bench, [DEFAULT, core]).best.plan == core.put(["conv0"], "weights")


def test_transforms_and_ranges_are_tried_before_anything_goes_to_float() -> None:
    bench = net(mul0=0.004)
    outcome = found(bench, [DEFAULT, Candidate("default", transforms=("equalize",))])
    assert outcome.best.plan.transforms == ("equalize",) and not outcome.best.plan.computes


def test_noise_that_every_operator_adds_to_leaves_those_in_integers_that_cost_least() -> None:
    """All of a convolutional net are too much together: 40 of them, the later the worse."""
    bench = net()
    bench.operators = {f"conv{n}": ("CONV_2D", 1e-4 * (n + 1), 1.0, 4.0) for n in range(40)}
    outcome = found(bench)
    kept = [name for name, _ in bench.integers(outcome.best.plan)]
    assert outcome.met and kept == [f"conv{n}" for n in range(7)]  # 28e-4 of the 31e-4 that are allowed


def test_where_the_ranking_misleads_noise_at_the_outputs_decides() -> None:
    """Large own errors that don't reach the outputs: all but one operator would go to float by the ranking."""
    bench = net(fully0=0.1)
    bench.ranking = lambda plan: [  # type: ignore[method-assign]
        (name, bench.operators[name][0]) for name in bench.operators if name not in plan.computes
    ]
    bench.operators["fully0"] = ("CONV_2D", 0.1, 1.0, 1.5)
    outcome = found(bench)
    assert outcome.met and outcome.best.plan.computes == {"fully0": "weights"}


def test_halves_have_about_the_same_work() -> None:
    assert [half.works for half in Stretch(("a", "b", "c"), (1.0, 1.0, 8.0)).halves()] == [(1.0, 1.0), (8.0,)]
    assert [half.works for half in Stretch(("a", "b"), (9.0, 1.0)).halves()] == [(9.0,), (1.0,)]
    assert [half.names for half in Stretch(("a", "b", "c", "d"), (0.0,) * 4).halves()] == [("a",), ("b", "c", "d")]


def test_what_is_refused_is_a_trial_with_its_reason() -> None:
    bench = net()
    bench.refuses = ("mse",)
    outcome = found(bench, methods=["mse", "min_max"])
    assert outcome.best.plan == DEFAULT and outcome.trials[0].failure == "mse is refused"
    with pytest.raises(RuntimeError, match="mse is refused"):
        found(bench, methods=["mse"])


def test_the_best_ranges_of_the_first_start_are_taken_for_the_others() -> None:
    bench = net(mul0=0.1)
    found(bench, [DEFAULT, CORE], ["min_max", "mse", "entropy"])
    assert [plan.rounding.ranges for plan in bench.judged[:3]] == ["min_max", "mse", "entropy"]
    assert {plan.rounding.ranges for plan in bench.judged[3:]} == {"mse"}


def test_what_no_file_reaches_is_said_with_the_nearest() -> None:
    outcome = found(net(mul0=0.1), min_agreement=0.9)
    assert not outcome.met and outcome.best.quality is not None and outcome.best.quality.sqnr_db == math.inf
    assert Budget(min_agreement=0.9).missed(outcome.best.quality) == [
        "the same class in 90.0% of the samples: no output has classes"
    ]


def test_time_is_bounded_and_what_was_left_out_is_said() -> None:
    bench = net(mul0=0.1)
    outcome = found(bench, [DEFAULT, CORE], seconds=0)
    assert outcome.met and len(bench.judged) <= 3  # one start, what it is like in float, and a look at one operator
    assert outcome.notes


@pytest.mark.parametrize(
    ("budget", "quality", "met"),
    [
        (Budget(), Quality(25.0), True),
        (Budget(), Quality(24.99), False),
        (Budget(min_sqnr_db=None), Quality(-10.0), True),
        (Budget(min_sqnr_db=None, min_agreement=0.95), Quality(3.0, agreement=0.95), True),
        (Budget(min_sqnr_db=None, max_accuracy_drop=0.01), Quality(3.0, accuracy_drop=0.011), False),
        (Budget(min_sqnr_db=None, max_accuracy_drop=0.01), Quality(3.0, accuracy_drop=-0.02), True),
        (Budget(min_sqnr_db=None, max_accuracy_drop=0.01), Quality(3.0), False),
    ],
)
def test_a_budget_is_met_or_not(budget: Budget, quality: Quality, met: bool) -> None:
    assert budget.met(quality) is met


def test_where_no_integers_are_right_int8_weights_are_left() -> None:
    """The file is as small then, and as fast as in float."""
    bench = net()
    bench.operators = {f"conv{n}": ("CONV_2D", 0.1, 1.0, 1.5) for n in range(4)}
    outcome = found(bench)
    assert outcome.met and outcome.best.plan.computes == {f"conv{n}": "weights" for n in range(4)}


@pytest.mark.parametrize(
    ("half", "seconds", "compute"), [(1e-9, 60, "float16"), (0.1, 60, "float32"), (1e-9, 0, "float16")]
)
def test_where_int8_weights_are_too_coarse_float_is_left(half: float, seconds: float, compute: str) -> None:
    """Whatever can be reached is, late or not; with float16 weights where they do."""
    bench = net()
    bench.operators = {f"conv{n}": ("CONV_2D", 0.1, 1.0, 1.5) for n in range(4)}
    bench.unpacked, bench.half = 0.1, half
    outcome = found(bench, seconds=seconds)
    assert outcome.met and outcome.best.plan.computes == {f"conv{n}": compute for n in range(4)}


def test_a_file_that_would_be_float_all_through_gets_int8_weights_late_or_not() -> None:
    """Those of all layers are too coarse by one; the other half keeps them."""
    bench = net()
    bench.operators = {f"conv{n}": ("CONV_2D", 0.1, 1.0, 1.5) for n in range(4)}
    bench.coarse, bench.half = {"conv0": 0.1}, 0.1
    best = found(bench, seconds=0).best
    assert best.met and best.plan.computes == {
        "conv0": "float32", "conv1": "float32", "conv2": "weights", "conv3": "weights",
    }  # fmt: skip


def test_the_clock_is_not_of_the_time_for_trials() -> None:
    """Layers get their smaller weights though the clock took longer than all trials may."""

    class Slow(Sums):
        def nanoseconds(self, plans: Sequence[Candidate]) -> list[float]:
            time.sleep(1.3)
            return super().nanoseconds(plans)

    operators = {f"conv{n}": ("CONV_2D", 1e-5, 1.0, 4.0) for n in range(4)} | {"bad": ("CONV_2D", 0.1, 1.0, 1.5)}
    outcome = found(Slow(operators, half=1e-9, coarse={"bad": 0.1}), seconds=1)
    assert outcome.met and outcome.best.plan.computes["bad"] == "float16"
    assert not outcome.notes


@pytest.mark.parametrize(("depthwise", "compute"), [(3.0, "weights"), (0.3, "dynamic")])
def test_layers_find_their_ranges_at_run_time_where_that_is_faster(depthwise: float, compute: str) -> None:
    """No layer can be afforded in int8; one kind is faster than in float so, the other is or isn't."""
    bench = net()
    bench.operators = {f"{kind}{n}": (kind, 0.1, 1.0, 1.5) for kind in ("CONV_2D", "DEPTHWISE_CONV_2D") for n in (0, 1)}
    bench.at_run_time, bench.dynamic = 1e-4, {"CONV_2D": 0.2, "DEPTHWISE_CONV_2D": depthwise}
    best = found(bench).best
    assert {name: best.plan.computes[name] for name in bench.operators} == {
        "CONV_2D0": "dynamic", "CONV_2D1": "dynamic", "DEPTHWISE_CONV_2D0": compute, "DEPTHWISE_CONV_2D1": compute,
    }  # fmt: skip
    assert "2 operators in int8 with ranges found at run time" in str(
        Candidate("default", {"a": "dynamic", "b": "dynamic"})
    )


@pytest.mark.parametrize(("half", "compute"), [(1e-9, "float16"), (0.1, "float32")])
def test_layers_that_are_plain_float_get_smaller_weights_as_far_as_the_budget_lets(half: float, compute: str) -> None:
    """Of four layers that can't be int8, the weights of one can't either; in float16 they may, or not."""
    bench = net()
    bench.operators |= {f"bad{n}": ("CONV_2D", 0.1, 1.0, 1.5) for n in range(4)}
    bench.coarse, bench.half = {"bad2": 0.1}, half
    best = found(bench).best
    assert {name: best.plan.computes.get(name) for name in bench.operators if name[:3] == "bad"} == {
        "bad0": "weights", "bad1": "weights", "bad2": compute, "bad3": "weights",
    }  # fmt: skip
