"""Tables, trees, n-grams and optimizers on both artifacts, against ONNX Runtime and ONNX's own evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx.reference import ReferenceEvaluator

from edgeworthy.convert import convert
from edgeworthy.errors import UnsupportedNodes

from ...conformance.adapters import convert_to
from .both import both, model_of

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
HALF = np.arange(-4, 5, dtype=np.float32) / 2
"""What splits are, so that features lie on them."""


def compare(model: onnx.ModelProto, feeds: list[dict[str, Any]], folder: Path, rtol: float = 1e-5) -> None:
    """Both artifacts against ONNX Runtime."""
    session = ort.InferenceSession(model.SerializeToString())
    names = [o.name for o in session.get_outputs()]
    for i, (artifact, got) in enumerate(both(model, feeds, folder)):
        want = session.run(None, feeds[i % len(feeds)])
        for name, expected in zip(names, want, strict=True):
            assert got[name].dtype == expected.dtype, (artifact, name)
            np.testing.assert_allclose(got[name], expected, rtol=rtol, atol=1e-6, err_msg=f"{artifact} {name}")


def table(rows: int, features: int) -> Any:
    rng = np.random.default_rng(rows)
    x = rng.choice(HALF, (rows, features)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[0], x[1] = np.inf, -np.inf
    return x


def forest(rng: np.random.Generator, trees: int, depth: int, targets: int, of: str, mixed: bool) -> dict[str, Any]:
    """The attributes of random trees of 4 features; a leaf adds to one target, or to two."""
    names = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
             "missing_value_tracks_true")  # fmt: skip
    nodes: dict[str, list[Any]] = {f"nodes_{name}": [] for name in names}
    leaves: dict[str, list[Any]] = {f"{of}_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(trees):
        for at in range(2 ** (depth + 1) - 1):
            is_leaf = at >= 2**depth - 1 or (at > 2 and rng.random() < 0.2)
            mode = "LEAF" if is_leaf else str(rng.choice(MODES)) if mixed else "BRANCH_LEQ"
            row = (tree, at, int(rng.integers(4)), float(rng.choice(HALF)), mode, 2 * at + 1, 2 * at + 2,
                   int(mixed and rng.random() < 0.4))  # fmt: skip
            for name, value in zip(names, row, strict=True):
                nodes[f"nodes_{name}"].append(value)
            for _ in range(int(rng.integers(1, 3)) if is_leaf else 0):
                drawn = tree, at, int(rng.integers(targets)), float(np.float32(rng.standard_normal()))
                for name, value in zip(("treeids", "nodeids", "ids", "weights"), drawn, strict=True):
                    leaves[f"{of}_{name}"].append(value)
    return nodes | leaves


def ensemble(op: str, attributes: dict[str, Any], outputs: list[tuple[str, int, list[Any]]]) -> onnx.ModelProto:
    node = onnx.helper.make_node(op, ["x"], [name for name, _, _ in outputs], domain="ai.onnx.ml", **attributes)
    made = [onnx.helper.make_tensor_value_info(*output) for output in outputs]
    given = [onnx.helper.make_tensor_value_info("x", 1, ["n", 4])]
    opsets = [onnx.helper.make_opsetid("ai.onnx.ml", 3), onnx.helper.make_opsetid("", 20)]
    return onnx.helper.make_model(onnx.helper.make_graph([node], "g", given, made), opset_imports=opsets, ir_version=9)


@pytest.mark.parametrize(("aggregate", "transform", "mixed"), [
    ("SUM", "NONE", True), ("AVERAGE", "NONE", False), ("MIN", "NONE", False), ("MAX", "NONE", True),
    ("SUM", "SOFTMAX", False),
])  # fmt: skip
def test_regressors_of_trees(aggregate: str, transform: str, mixed: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    attributes = forest(rng, 12, 3, 2, "target", mixed)
    base = {} if aggregate in ("MIN", "MAX") else {"base_values": [0.5, -1.0]}
    model = ensemble("TreeEnsembleRegressor", {
        **attributes, **base, "n_targets": 2, "aggregate_function": aggregate, "post_transform": transform,
    }, [("y", 1, ["n", 2])])  # fmt: skip
    compare(model, [{"x": table(200, 4)}, {"x": table(9, 4)}], tmp_path, 1e-4)


@pytest.mark.parametrize(("classes", "transform", "positive"), [
    (3, "NONE", False), (4, "SOFTMAX", False), (2, "LOGISTIC", False), (2, "NONE", False), (2, "NONE", True),
])  # fmt: skip
def test_classifiers_of_trees(classes: int, transform: str, positive: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(classes)
    attributes = forest(rng, 7, 3, 1 if classes == 2 else classes, "class", False)
    if positive:
        attributes["class_weights"] = [abs(w) / 7 for w in attributes["class_weights"]]
    model = ensemble("TreeEnsembleClassifier", {
        **attributes, "classlabels_int64s": [10 * (i + 1) for i in range(classes)], "post_transform": transform,
    }, [("label", 7, ["n"]), ("y", 1, ["n", classes])])  # fmt: skip
    compare(model, [{"x": table(200, 4)}], tmp_path, 1e-4)


def test_sets_and_splits_of_every_kind(tmp_path: Path) -> None:
    """``TreeEnsemble`` of ai.onnx.ml 5; numbers that are missing go where the node says."""
    tensor = onnx.helper.make_tensor
    node = onnx.helper.make_node(
        "TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml", n_targets=2, aggregate_function=1, post_transform=0,
        nodes_modes=tensor("m", onnx.TensorProto.UINT8, [7], [0, 6, 5, 3, 1, 6, 4]),
        nodes_splits=tensor("s", 1, [7], [1.0, 0.0, -1.0, 0.5, 0.0, 1.0, -0.5]),
        nodes_featureids=[0, 1, 2, 3, 0, 1, 2], tree_roots=[0, 3],
        nodes_missing_value_tracks_true=[1, 0, 0, 1, 0, 1, 0],
        nodes_truenodeids=[1, 0, 2, 4, 5, 6, 7], nodes_trueleafs=[0, 1, 1, 0, 0, 0, 1],
        nodes_falsenodeids=[2, 1, 3, 4, 5, 6, 8], nodes_falseleafs=[0, 1, 1, 1, 1, 1, 1],
        leaf_targetids=[0, 1, 0, 1, 0, 1, 0, 1, 0], leaf_weights=tensor("w", 1, [9], [float(2**i) for i in range(9)]),
        membership_values=tensor("v", 1, [6], [0.5, -0.5, 2.0, np.nan, 1.5, np.nan]),
    )  # fmt: skip
    given, made = (onnx.helper.make_tensor_value_info(n, 1, ["n", d]) for n, d in (("x", 4), ("y", 2)))
    graph = onnx.helper.make_graph([node], "g", [given], [made])
    opsets = [onnx.helper.make_opsetid("ai.onnx.ml", 5), onnx.helper.make_opsetid("", 21)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    x = table(300, 4)
    (want,) = ReferenceEvaluator(model).run(None, {"x": x})
    for artifact, got in both(model, [{"x": x}], tmp_path):
        assert np.array_equal(got["y"], want), artifact


TABLES = [
    "y = ai.onnx.ml.Scaler<offset=[1.0,2.0,-1.0,0.0], scale=[0.5,2.0,1.0,-3.0]>(x)",
    "y = ai.onnx.ml.Scaler<offset=[1.5], scale=[0.25]>(x)",
    *(f'y = ai.onnx.ml.Normalizer<norm="{norm}">(x)' for norm in ("MAX", "L1", "L2")),
    "y = ai.onnx.ml.Imputer<imputed_value_floats=[1.0,2.0,3.0,4.0], replaced_value_float=0.5>(x)",
    "y = ai.onnx.ml.Binarizer<threshold=0.5>(x)",
    "y = ai.onnx.ml.FeatureVectorizer<inputdimensions=[4,4]>(x, x)",
    "y = ai.onnx.ml.LinearRegressor<targets=2, coefficients=[1.0,2.0,3.0,4.0,-1.0,0.5,0.0,1.0],"
    " intercepts=[0.5,-2.0]>(x)",
    "i = Constant<value = int64[3] {3, 0, 3}>() y = ai.onnx.ml.ArrayFeatureExtractor(x, i)",
]  # fmt: skip


@pytest.mark.parametrize("nodes", TABLES, ids=lambda text: text.partition("ml.")[2].partition("(")[0])
def test_tables(nodes: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).choice(HALF, (9, 4)).astype(np.float32)
    x[3] = 0
    compare(
        model_of(f"g (float[n,4] x) => (float[n,m] y) {{ {nodes} }}", 21, ai_onnx_ml=3),
        [{"x": x}, {"x": x[:1] + 1}],
        tmp_path,
    )


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
def test_n_grams(mode: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = model_of(f"""g (int64[n,9] x) => (float[n,8] y) {{ y = TfIdfVectorizer<
        mode="{mode}", min_gram_length=1, max_gram_length=3, max_skip_count=2, ngram_counts=[0,3,9],
        ngram_indexes=[2,0,1,3,4,5,7,6], pool_int64s=[1,2,3, 1,2, 2,2, 3,1, 1,2,1, 2,2,2],
        weights=[0.5,1.0,2.0,3.0,0.25,4.0,5.0,6.0]>(x) }}""", 21)  # fmt: skip
    compare(model, [{"x": rng.integers(1, 4, (20, 9))}, {"x": rng.integers(1, 4, (1, 9))}], tmp_path)


STEPS = [
    ("Adagrad", 3, "decay_factor=0.1, epsilon=0.001, norm_coefficient=0.01"),
    ("Adam", 4, "alpha=0.9, beta=0.99, epsilon=0.001, norm_coefficient=0.01, norm_coefficient_post=0.1"),
    ("Momentum", 3, 'alpha=0.9, beta=0.5, norm_coefficient=0.01, mode="standard"'),
    ("Momentum", 3, 'alpha=0.9, beta=0.5, norm_coefficient=0.01, mode="nesterov"'),
]


@pytest.mark.parametrize(("op", "kinds", "attributes"), STEPS)
def test_steps_of_optimizers(op: str, kinds: int, attributes: str, tmp_path: Path) -> None:
    """Two tensors, at the first step and a later one."""
    rng, names = np.random.default_rng(0), [f"{k}{i}" for k in "xgvh"[:kinds] for i in (0, 1)]
    shapes = {"0": "[3]", "1": "[2,2]"}
    new = [f"{k}{i}" for k in "xvh"[: kinds - 1] for i in (0, 1)]
    inputs = ", ".join(f"float{shapes[n[1]]} {n}" for n in names)
    outputs = ", ".join(f"float{shapes[n[1]]} new_{n}" for n in new)
    call = (
        f"{', '.join(f'new_{n}' for n in new)} = ai.onnx.preview.training.{op}<{attributes}>(r, t, {', '.join(names)})"
    )
    model = model_of(f"g (float r, int64 t, {inputs}) => ({outputs}) {{ {call} }}", 21, ai_onnx_preview_training=1)
    values = {n: np.abs(rng.standard_normal(3 if n[1] == "0" else (2, 2))).astype(np.float32) for n in names}
    feeds = [{"r": np.array(0.1, np.float32), "t": np.array(t), **values} for t in (0, 3)]
    for i, (artifact, got) in enumerate(both(model, feeds, tmp_path)):
        want = ReferenceEvaluator(model).run(None, feeds[i % 2])
        for name, expected in zip(new, want, strict=True):
            np.testing.assert_allclose(got[f"new_{name}"], expected, rtol=1e-5, err_msg=f"{artifact} {name}")


def test_a_sequence_in_the_signature_is_refused_by_name(tmp_path: Path) -> None:
    model = model_of("g (seq(float[3]) x) => (seq(float[3]) y) { y = Identity(x) }")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedNodes, match="'x' is a sequence of tensors"):
        convert(tmp_path / "m.onnx", tmp_path)


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("nodes_truenodeids", 0, 99), ("nodes_truenodeids", 0, 0), ("nodes_featureids", 0, 4),
        ("nodes_featureids", 0, -1), ("target_ids", 0, 2), ("target_ids", 0, -1), ("target_weights", None, []),
    ],
)  # fmt: skip
def test_lists_that_make_no_trees(name: str, place: int | None, value: Any, tmp_path: Path) -> None:
    attributes = {**forest(np.random.default_rng(3), 2, 2, 2, "target", False), "n_targets": 2}
    if place is None:
        attributes[name] = attributes[name][:-1]
    else:
        attributes[name][place] = value
    model = ensemble("TreeEnsembleRegressor", attributes, [("y", 1, ["n", 2])])
    with pytest.raises(UnsupportedNodes, match="make no trees"):
        convert_to("tflite", model.SerializeToString(), tmp_path)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("nodes_modes", [253, 0]), ("nodes_modes", [6, 0]), ("tree_roots", [2]), ("nodes_truenodeids", [0, 1]),
        ("nodes_falsenodeids", [9, 2]), ("nodes_falsenodeids", [-1, 2]), ("leaf_targetids", [0, 0, 3]),
        ("aggregate_function", 9), ("post_transform", 9),
    ],
)  # fmt: skip
def test_lists_that_make_no_trees_of_their_own_leaves(name: str, values: Any, tmp_path: Path) -> None:
    tensor = onnx.helper.make_tensor
    attributes = {
        "nodes_modes": [0, 0], "nodes_splits": tensor("s", 1, [2], [0.0, 1.0]), "nodes_featureids": [0, 1],
        "tree_roots": [0], "nodes_truenodeids": [1, 0], "nodes_trueleafs": [0, 1], "nodes_falsenodeids": [2, 1],
        "nodes_falseleafs": [1, 1], "leaf_targetids": [0, 0, 0], "leaf_weights": tensor("w", 1, [3], [1.0, 2.0, 3.0]),
        "n_targets": 1, "aggregate_function": 1, "post_transform": 0,
    } | {name: values}  # fmt: skip
    attributes["nodes_modes"] = tensor("m", onnx.TensorProto.UINT8, [2], attributes["nodes_modes"])
    model = ensemble("TreeEnsemble", attributes, [("y", 1, ["n", 1])])
    model.opset_import[0].version = 5
    with pytest.raises(UnsupportedNodes, match="make no trees"):
        convert_to("tflite", model.SerializeToString(), tmp_path)
