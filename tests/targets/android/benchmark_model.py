"""A program with the flags and the words of TFLite's benchmark_model, on LiteRT's real interpreter.

The tool itself is Google's to download. What this one tells is true: times, outputs and delegated nodes are LiteRT's.
``FAULT`` in its environment has it hang, crash or lose its words.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

import numpy as np

FLAGS = {
    "num_runs": 50, "min_secs": 1, "max_secs": 150, "warmup_runs": 1, "warmup_min_secs": 0.5, "num_threads": -1,
    "graph": "", "input_layer": "", "input_layer_shape": "", "input_layer_value_files": "", "output_filepath": "",
    "print_preinvoke_state": False, "signature_to_run_for": "", "use_xnnpack": False, "require_full_delegation": False,
}  # fmt: skip


def main() -> int:
    options = dict(FLAGS)
    for argument in sys.argv[1:]:
        name, _, text = argument.removeprefix("--").partition("=")
        if name not in FLAGS:
            print("\n".join([f"usage: {sys.argv[0]} <flags>", "Flags:", *map(_line, FLAGS)]), file=sys.stderr)
            return 1
        kind = type(FLAGS[name])
        options[name] = text in ("true", "1") if kind is bool else float(text) if kind is not str else text
    return run(options)


def _line(name: str) -> str:
    value = str(FLAGS[name]).lower() if isinstance(FLAGS[name], bool) else FLAGS[name]
    return f"\t{f'--{name}={value}':<40}\t{type(FLAGS[name]).__name__}\toptional\twhat it does"


def run(options: dict) -> int:  # type: ignore[type-arg]
    from ai_edge_litert.interpreter import Interpreter

    print("INFO: STARTING!\nINFO: Log parameter values verbosely: [0]", flush=True)
    print(f"INFO: Graph: [{options['graph']}]\nINFO: Signature to run: [{options['signature_to_run_for']}]")
    begin = time.perf_counter()
    interpreter = Interpreter(options["graph"], num_threads=int(options["num_threads"]))
    print(f"INFO: Loaded model {options['graph']}")
    inputs = interpreter.get_input_details()
    for detail, shape in zip(inputs, options["input_layer_shape"].split(":"), strict=True):
        interpreter.resize_tensor_input(detail["index"], [int(d) for d in shape.split(",")])
    interpreter.allocate_tensors()
    started = time.perf_counter() - begin
    print("INFO: The input model file size (MB): 0.003\nINFO: Initialized session in %gms." % (started * 1000))
    fed = dict(pair.split(":") for pair in options["input_layer_value_files"].split(",") if pair)
    arrays = []
    for name, detail in zip(options["input_layer"].split(","), interpreter.get_input_details(), strict=True):
        shape, dtype = tuple(detail["shape"]), np.dtype(detail["dtype"])
        made = np.fromfile(fed[name], dtype) if name in fed else np.zeros(shape, dtype)
        if made.size != np.prod(shape):
            print(f"ERROR: The size of {fed[name]} is {made.nbytes} bytes. It should be {made.nbytes} bytes.")
            return 1
        arrays.append((detail["index"], made.reshape(shape)))
    if options["print_preinvoke_state"]:
        state(interpreter)
    fault(os.environ.get("FAULT", ""))
    warm = block(interpreter, arrays, options["warmup_runs"], options["warmup_min_secs"])
    times = block(interpreter, arrays, options["num_runs"], options["min_secs"])
    if options["output_filepath"]:
        with open(options["output_filepath"], "wb") as file:  # noqa: PTH123
            for detail in interpreter.get_output_details():
                file.write(interpreter.get_tensor(detail["index"]).tobytes())
    average = f"{statistics.mean(warm):g}" if warm else "nan"
    print(
        f"INFO: Inference timings in us: Init: {started * 1e6:.0f}, First inference: {warm[0] if warm else 0}, "
        f"Warmup (avg): {average}, Inference (avg): {statistics.mean(times):g}"
    )
    print("INFO: Memory footprint delta from the start of the tool (MB): init=2.5 overall=3.25")
    return 0


def block(interpreter, arrays, runs: float, seconds: float) -> list[int]:  # type: ignore[no-untyped-def]
    print(f"INFO: Running benchmark for at least {runs:g} iterations and at least {seconds:g} seconds but terminate")
    times: list[int] = []
    begin = time.perf_counter()
    while len(times) < runs or time.perf_counter() - begin < seconds:
        for index, array in arrays:
            interpreter.set_tensor(index, array)
        at = time.perf_counter_ns()
        interpreter.invoke()
        times.append((time.perf_counter_ns() - at) // 1000)
    if len(set(times)) < 2:
        print(f"INFO: count={len(times)}" + (f" curr={times[-1]}" if times else "") + " (all same)" * (len(times) > 1))
        return times
    low, middle, high = (int(np.percentile(times, rank)) for rank in (5, 50, 95))
    print(
        f"INFO: count={len(times)} first={times[0]} curr={times[-1]} min={min(times)} max={max(times)} "
        f"avg={statistics.mean(times):g} std={statistics.pstdev(times):.0f} p5={low} median={middle} p95={high}\n"
    )
    return times


def state(interpreter) -> None:  # type: ignore[no-untyped-def]
    """The nodes that lead from a partition's outputs to its inputs are that delegate's."""
    operators = interpreter._get_ops_details()
    nodes = [op for op in operators if op["op_name"] != "DELEGATE"]
    kernels = operators[len(nodes) :]
    owner: dict[int, int] = {}
    for number, kernel in enumerate(kernels, len(nodes)):
        wanted = set(kernel["outputs"])
        for k in reversed(range(len(nodes))):
            if wanted & set(nodes[k]["outputs"]):
                owner[k] = number
                wanted |= set(nodes[k]["inputs"]) - set(kernel["inputs"])
    print("====Printing out TfLite interpreter pre-invoke state begins====\nInterpreter has 1 subgraphs.\n")
    print(f"-----------Subgraph-0 has 9 tensors and {len(operators)} nodes------------")
    for k, node in enumerate(nodes):
        status = f"delegated by node {owner[k]}" if k in owner else "not delegated"
        print(f"Node {k:3} Operator Builtin Code {0:3} {node['op_name']} ({status})\n  2 Input Tensors:[0,1] -> 0B")
    for number, _ in enumerate(kernels, len(nodes)):
        print(f"Node {number:3} Operator Custom Name TfLiteXNNPackDelegate \n  1 Input Tensors:[0] -> 0B (0.00MB)")
    print("--------------Subgraph-0 dump has completed--------------\n")


def fault(kind: str) -> None:
    sys.stdout.flush()
    if kind == "hangs":
        time.sleep(1000)
    if kind == "crashes":
        os.kill(os.getpid(), 11)
    if kind == "killed":
        os.kill(os.getpid(), 9)


if __name__ == "__main__":
    sys.exit(main())
