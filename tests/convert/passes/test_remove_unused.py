from __future__ import annotations

from typing import Any

import numpy as np

TEXT = """
<ir_version: 8, opset_import: ["" : 13]>
g (float[2,3] x, float[2] unused) => (float[2,3] y) {
    y = Relu (x) a = Exp (x) b = Log (a) c = Add (b, w)
}"""


def test_dead_nodes_and_their_weights_go(apply: Any) -> None:
    weights = {"w": np.ones(3, np.float32)}
    result = apply(TEXT, "remove_unused", weights=weights)
    assert result.ops == ["Relu"]
    assert not result.model.graph.initializers


def test_the_signature_stays(apply: Any) -> None:
    result = apply(TEXT, "remove_unused", weights={"w": np.ones(3, np.float32)})
    assert [v.name for v in result.model.graph.inputs] == ["x", "unused"]


def test_what_a_subgraph_uses_is_not_unused(apply: Any) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[2,3] x, bool c) => (float[2,3] y) {
        a = Exp (x)
        y = If (c) <then_branch = t () => (float[2,3] p) { p = Add (a, w) },
                    else_branch = e () => (float[2,3] q) { q = Identity (x) }>
    }"""
    feeds = {"x": np.ones((2, 3), np.float32), "c": np.array(True)}
    result = apply(text, "remove_unused", weights={"w": np.ones(3, np.float32)}, feeds=feeds)
    assert result.ops == ["Exp", "If"]
    assert "w" in result.model.graph.initializers
