"""Nodes that an accelerator left, by name: parts as TFLite makes them, held against what was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgeworthy.artifact import TensorSpec
from edgeworthy.formats.tflite.summary import OperatorSummary, SubgraphSummary, TensorSummary, summarize
from edgeworthy.targets.leftover import Delegation, alone, left_over, partitions


def graph(*ops: tuple[str, Sequence[int], Sequence[int]]) -> SubgraphSummary:
    """Operators with their operands; tensor 0 is the input, 9 a constant."""
    tensors = tuple(TensorSummary(f"t{i}", "float32", (1,)) for i in range(10))
    return SubgraphSummary(
        "main", tensors, tuple(OperatorSummary(n, tuple(i), tuple(o)) for n, i, o in ops), (0,), (8,)
    )


CHAIN = graph(
    ("ADD", [0, 9], [1]), ("MUL", [1, -1], [2]), ("GATHER", [2, 9], [3]), ("TANH", [3], [4]), ("EXP", [1], [5]),
    ("GATHER", [4], [6]), ("NEG", [5, 6], [8]),
)  # fmt: skip


def never(index: int) -> bool:
    raise AssertionError(f"node {index} was tried, though the operators give the number")


def test_parts_take_what_is_ready_of_their_kind() -> None:
    assert partitions(CHAIN, {2, 5}) == [{0, 1, 4}, {2}, {3}, {5}, {6}]
    assert partitions(CHAIN, set()) == [set(range(7))]
    assert partitions(CHAIN, {0}) == [{0}, {1, 2, 3, 4, 5, 6}]


def test_the_largest_part_alone_is_taken() -> None:
    left = left_over(CHAIN, Delegation(3, 4, frozenset({"GATHER"})), never, largest=True)
    assert left == ("GATHER t3", "TANH t4", "GATHER t6", "NEG t8")


def test_every_part_is_taken() -> None:
    assert left_over(CHAIN, Delegation(5, 2, frozenset({"GATHER"})), never) == ("GATHER t3", "GATHER t6")


def test_a_number_that_the_operators_dont_give_is_looked_into() -> None:
    """Only the second GATHER is refused."""
    tried: list[int] = []

    def takes(index: int) -> bool:
        tried.append(index)
        return index == 2

    assert left_over(CHAIN, Delegation(6, 1, frozenset({"GATHER"})), takes) == ("GATHER t6",)
    assert tried == [2, 5]
    assert left_over(CHAIN, Delegation(5, 2, frozenset({"GATHER"})), takes, largest=True) == ("GATHER t6", "NEG t8")


def test_nothing_is_named_that_doesnt_add_up() -> None:
    assert left_over(CHAIN, Delegation(4, 3, frozenset({"GATHER"})), lambda index: False) is None
    assert left_over(CHAIN, Delegation(6, 2, frozenset({"GATHER"})), never) is None  # of 8 nodes: of another graph


def test_what_took_nothing_left_everything() -> None:
    names = left_over(CHAIN, Delegation(0, 7), never, largest=True)
    assert names is not None and len(names) == 7 and names[0] == "ADD t1"


def test_a_node_alone_computes_what_it_does_in_the_model(made: Any, tensorflow: Any) -> None:
    tf = tensorflow
    table = np.arange(27, dtype=np.float32).reshape(9, 3)
    model = made(
        lambda x: {"y": tf.gather(table, tf.cast(tf.abs(x), tf.int32)) * 2.0}, x=TensorSpec("x", "float32", (2, 4))
    )
    main = summarize(model.path).graphs[0]
    index = [op.op for op in main.ops].index("GATHER")
    interpreter = Interpreter(model_content=alone(model.path.read_bytes(), index))
    interpreter.allocate_tensors()
    (operand,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    ids = np.array([[0, 1, 8, 3], [4, 4, 0, 7]], np.int32)
    interpreter.set_tensor(operand["index"], ids)
    interpreter.invoke()
    np.testing.assert_array_equal(interpreter.get_tensor(result["index"]), table[ids])


@pytest.mark.parametrize("refused", [{1}, {0, 3, 6}, {6}])
def test_every_node_is_in_one_part(refused: set[int]) -> None:
    parts = partitions(CHAIN, refused)
    assert sorted(index for part in parts for index in part) == list(range(7))
    assert all(part <= refused or not part & refused for part in parts)
