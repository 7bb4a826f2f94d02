"""Attention by its function bodies: graphs that modify its scores, scores as outputs, recurrent forms of any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from ...conformance.adapters import RUNNERS, convert_to, run_tflite


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape) + shape[-1]).normal(size=shape).astype("f")


def test_graphs_that_modify_scores_use_values_from_around_them(tmp_path: Path) -> None:
    text = """
    <ir_version: 13, opset_import: ["" : 26, "ai.onnx.preview" : 1]>
    g (float[2,4,3,8] q, float[2,2,5,8] k, float[2,2,5,6] v, float[3,5] bias, float half) => (float[2,4,3,6] y) {
        twice = Add (bias, bias)
        y = ai.onnx.preview.FlexAttention (q, k, v) <
            score_mod: graph = s (float[B,H,L,S] a) => (float[B,H,L,S] b) { b = Add (a, twice) },
            prob_mod: graph = p (float[B,H,L,S] c) => (float[B,H,L,S] d) { e = Mul (c, half) d = Add (e, half) }>
    }"""
    feeds = {"q": normal(2, 4, 3, 8), "k": normal(2, 2, 5, 8), "v": normal(2, 2, 5, 6), "bias": normal(3, 5)}
    q, k, v, bias = map(torch.tensor, feeds.values())
    k, v = (t.repeat_interleave(2, 1) for t in (k, v))
    want = (torch.softmax(q @ k.mT / 8**0.5 + 2 * bias, -1) * 0.5 + 0.5) @ v
    model = onnx.parser.parse_model(text).SerializeToString()
    for artifact, run in RUNNERS.items():
        (tmp_path / artifact).mkdir()
        got = run(convert_to(artifact, model, tmp_path / artifact), {**feeds, "half": np.array(0.5, np.float32)})
        np.testing.assert_allclose(got["y"], want, rtol=1e-5, atol=1e-5, err_msg=artifact)


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_scores_are_an_output_without_the_caches_before_it(mode: int, tmp_path: Path) -> None:
    text = f"""
    <ir_version: 11, opset_import: ["" : 23]>
    g (float[N,4,3,8] q, float[N,2,5,8] k, float[N,2,5,6] v, float[3,5] mask) => (float[N,4,3,6] y, float[N,4,3,5] s) {{
        y, , , s = Attention <qk_matmul_output_mode = {mode}, softcap = 2.0> (q, k, v, mask)
    }}"""
    made = convert_to("tflite", onnx.parser.parse_model(text).SerializeToString(), tmp_path)
    for batch in (1, 3):
        feeds = {"q": normal(batch, 4, 3, 8), "k": normal(batch, 2, 5, 8), "v": normal(batch, 2, 5, 6)}
        feeds["mask"] = np.where(normal(3, 5) > 0.8, -np.inf, 0).astype("f")
        q, k, v, mask = map(torch.tensor, feeds.values())
        k, v = (t.repeat_interleave(2, 1) for t in (k, v))
        products = q @ k.mT / 8**0.5
        capped = 2 * torch.tanh(products / 2)
        scores = [products, capped, capped + mask, torch.softmax(capped + mask, -1)]
        got = run_tflite(made, feeds)
        np.testing.assert_allclose(got["s"], scores[mode], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(got["y"], scores[3] @ v, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
def test_linear_attention_of_any_length(rule: str, tmp_path: Path) -> None:
    inputs = {"q": 8, "k": 8, "v": 12, "decay": 8, "beta": 2}
    used = {"linear": "q k v", "gated": "q k v decay", "delta": "q k v beta", "gated_delta": "q k v decay beta"}[rule]
    order = [n if n in used.split() else "" for n in ("q", "k", "v", "past", "decay", "beta")]
    text = f"""
    <ir_version: 13, opset_import: ["" : 27]>
    g ({", ".join(f"float[1,T,{inputs[n]}] {n}" for n in used.split())}) => (float[1,T,12] y, float[1,2,4,6] s) {{
        y, s = LinearAttention <q_num_heads = 2, kv_num_heads = 2, update_rule = "{rule}"> ({", ".join(order)})
    }}"""
    model = onnx.parser.parse_model(text)
    made = convert_to("tflite", model.SerializeToString(), tmp_path)
    for length in (1, 4, 9):
        feeds = {n: normal(1, length, inputs[n]) / 2 for n in used.split()}
        if "decay" in feeds:
            feeds["decay"] = -np.abs(feeds["decay"])
        want = ReferenceEvaluator(model).run(None, feeds)
        got = run_tflite(made, feeds)
        for name, expected in zip(("y", "s"), want, strict=True):
            np.testing.assert_allclose(got[name], expected, rtol=1e-4, atol=1e-5, err_msg=f"{name} of {length}")
