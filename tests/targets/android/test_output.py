"""What benchmark_model prints, as several of its versions do (in the words of its sources)."""

from __future__ import annotations

import numpy as np
import pytest

from edgeworthy.targets.android import output

HELP = """usage: benchmark_model <flags>
Flags:
\t--num_runs=50                           \tint32\toptional\texpected number of runs, see also min_secs, max_secs
\t--graph=                                \tstring\toptional\tgraph file name
\t--use_xnnpack=true                      \tbool\toptional\texplicitly apply the XNNPACK delegate. Note the
--use_gpu=false is no flag in the middle of a sentence
"""

OLD = """STARTING!
Num threads: [4]
Graph: [/data/local/tmp/edgeworthy/0a]
Loaded model /data/local/tmp/edgeworthy/0a
Replacing 63 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 2 partitions.
The input model file size (MB): 16.9008
Initialized session in 17.187ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=1 curr=3512391

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798

Inference timings in us: Init: 17187, First inference: 3512391, Warmup (avg): 3.51239e+06, Inference (avg): 2.95034e+06
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory
Peak memory footprint (MB): init=4.92969 overall=138.809
"""

NEW = """INFO: STARTING!
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
VERBOSE: Replacing 3 out of 5 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 4 partitions for subgraph 0.
VERBOSE: Replacing 1 out of 2 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 2 partitions for subgraph 1.
INFO: Explicitly applied XNNPACK delegate, and the model graph will be partially executed by the delegate w/ 2 delegate
INFO: Running benchmark for at least 0 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=0

INFO: Running benchmark for at least 25 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
I tflite  : count=25 first=187 curr=140 min=100 max=300 avg=150.5 std=13 p5=110 median=150 p95=250

INFO: Inference timings in us: Init: 92318, First inference: 0, Warmup (avg): nan, Inference (avg): 150.5
INFO: Memory footprint delta from the start of the tool (MB): init=54.2852 overall=73.5
"""

STATE = """
====Printing out TfLite interpreter pre-invoke state begins====
Interpreter has 2 subgraphs.

-----------Subgraph-0 has 12 tensors and 8 nodes------------
Node   0 Operator Builtin Code   3 CONV_2D (delegated by node 5)
  3 Input Tensors:[0,5,6] -> 0B (0.00MB)
  1 Output Tensors:[7] -> 0B (0.00MB)
Node   1 Operator Builtin Code  56 ARG_MAX (not delegated)
  2 Input Tensors:[7,8] -> 36B (0.00MB)
Node   2 Operator Custom Name TFLite_Detection_PostProcess (not delegated)
Node   3 Operator Builtin Code   0 ADD (delegated by node 6)
Node   4 Operator Builtin Code   0 ADD (delegated by node 7)
Node   5 Operator Custom Name TfLiteXNNPackDelegate.
Node   6 Operator Custom Name TfLiteXNNPackDelegate.
Node   7 Operator Custom Name TfLiteGpuDelegateV2.
--------------Subgraph-0 dump has completed--------------

-----------Subgraph-1 has 2 tensors and 1 nodes------------
Node   0 Operator Builtin Code   0 ADD (not delegated)
--------------Subgraph-1 dump has completed--------------
""".replace("Delegate.\n", "Delegate \n").replace("V2.\n", "V2 \n")


COMPILED = """INFO: [benchmark_litert_model.cc:130] Loading model from: /data/local/tmp/edgeworthy/0a
VERBOSE: Replacing 3 out of 3 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 partitions for subgraph 0.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=7 first=900 curr=70 min=69 max=900 avg=190 std=290 p5=69 median=71 p95=900

INFO: Running benchmark for at least 5 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=5 first=71 curr=70 min=69 max=75 avg=71 std=2 p5=69 median=70 p95=75

INFO: [benchmark_litert_model.h:66]
========== BENCHMARK RESULTS ==========
INFO: [benchmark_litert_model.h:67] Model initialization: 12.50 ms
INFO: [benchmark_litert_model.h:68] Warmup (first):       0.90 ms
INFO: [benchmark_litert_model.h:72] Inference (avg):      0.07 ms (5 runs)
INFO: [benchmark_litert_model.h:98] Init footprint:       2.25 MB
INFO: [benchmark_litert_model.h:100] Overall footprint:    4.50 MB
"""


def test_flags_are_those_that_the_help_lists() -> None:
    assert output.flags(HELP) >= {"num_runs", "graph", "use_xnnpack"}
    assert output.flags("error: linker") == frozenset()


def test_an_old_one_tells_least_mean_and_most() -> None:
    times = output.times(OLD)
    assert times is not None and (times.count, times.first, times.mean) == (50, 2990275, 2.95034e6)
    assert dict(times.quantiles) == {0.0: 2727568, 0.5: 2.95034e6, 1.0: 3189954}
    assert output.initialized_us(OLD) == 17187 and output.footprint(OLD) == int(138.809 * (1 << 20))


def test_a_new_one_tells_quantiles() -> None:
    times = output.times(NEW)
    assert times is not None and (times.count, times.first) == (25, 187)
    assert dict(times.quantiles) == {0.0: 100, 0.05: 110, 0.5: 150, 0.95: 250, 1.0: 300}
    spread = times.spread(102)
    assert spread[0] == 187_000 and len(spread) == 102
    for rank, expected in ((0, 100), (5, 110), (50, 150), (95, 250), (100, 300)):
        assert np.percentile(spread[1:], rank) == pytest.approx(expected * 1000)
    assert times.spread(1) == [150_500] and times.spread(2) == [187_000, 100_000]
    assert output.initialized_us(NEW) == 92318 and output.footprint(NEW) == 73.5 * (1 << 20)


def test_the_one_of_litert_has_a_summary_of_its_own() -> None:
    times = output.times(COMPILED)
    assert times is not None and (times.count, times.first, times.mean, times.quantiles[0.95]) == (5, 71, 71, 75)
    assert output.initialized_us(COMPILED) == 12500 and output.footprint(COMPILED) == 4.5 * (1 << 20)
    assert output.delegation(COMPILED, "xnnpack", 3) == output.DelegatedNodes(nodes=3, taken=3)


@pytest.mark.parametrize(("line", "count"), [("count=1 curr=35", 1), ("INFO: count=7 curr=35 (all same)", 7)])
def test_times_that_are_all_the_same(line: str, count: int) -> None:
    times = output.times(f"{line}\nInference timings in us: Init: 1, First inference: 0, Inference (avg): 35")
    assert times is not None and times.count == count and times.spread(3) == [35_000] * 3


@pytest.mark.parametrize("text", ["", OLD.partition("Inference timings")[0], "Inference timings in us: Init"])
def test_one_that_didnt_get_to_its_end_tells_no_times(text: str) -> None:
    assert output.times(text) is None and output.footprint(text) == 0


def test_nodes_are_by_delegate() -> None:
    told = output.delegation(STATE, "xnnpack", 9)
    assert told == output.DelegatedNodes(nodes=5, taken=2, partitions=2, left=(1, 2, 4))
    assert output.delegation(STATE, "gpu", 9) == output.DelegatedNodes(
        nodes=5, taken=1, partitions=1, left=(0, 1, 2, 3)
    )
    assert output.delegation(STATE, "nnapi", 9) == output.DelegatedNodes(
        nodes=5, taken=0, partitions=0, left=(0, 1, 2, 3, 4)
    )


def test_the_log_tells_where_the_state_does_not() -> None:
    assert output.delegation(NEW, "xnnpack", 5) == output.DelegatedNodes(nodes=5, taken=3)
    assert output.delegation(OLD, "xnnpack", 64) == output.DelegatedNodes(nodes=64, taken=63)
    assert output.logged(STATE + NEW, "xnnpack") == 3 and output.delegation(NEW, "gpu", 5) is None


def test_errors_are_the_lines_that_say_so() -> None:
    text = "INFO: STARTING!\nERROR: Failed to load model /x\nINFO: done\nFailed to open '/x'\n"
    assert output.errors(text) == ["ERROR: Failed to load model /x", "Failed to open '/x'"]
    assert output.errors("a\n\nb\n") == ["a", "b"]
