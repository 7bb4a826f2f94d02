"""The whole pipeline, on models as PyTorch exports them."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from edgeworthy.convert.passes import PIPELINE, run_passes
from edgeworthy.convert.passes.contract import passes_of

torch = pytest.importorskip("torch")
nn = torch.nn
F = torch.nn.functional

EXPORTERS = ["dynamo", "dynamo-18", "torchscript-11", "torchscript-17"]


def export(module: Any, args: tuple[Any, ...], exporter: str, dynamic: Any = None) -> onnx.ModelProto:
    """A module as ``torch.onnx`` exports it, BatchNorm statistics made up, nodes labelled."""
    torch.manual_seed(0)
    module = module.eval()
    for name, buffer in module.named_buffers():
        if "running" in name:
            buffer.copy_(torch.rand_like(buffer) + (0.5 if name.endswith("var") else -0.5))
    kind, _, opset = exporter.partition("-")
    options: dict[str, Any] = {"opset_version": int(opset)} if opset else {}
    if kind == "dynamo":
        program = torch.onnx.export(module, args, dynamo=True, verbose=False, dynamic_shapes=dynamic, **options)
        proto: onnx.ModelProto = program.model_proto
    else:
        file = BytesIO()
        torch.onnx.export(module, args, file, dynamo=False, **options)
        proto = onnx.load_from_string(file.getvalue())
    for index, node in enumerate(proto.graph.node):
        del node.metadata_props[:]
        node.metadata_props.add(key="edgeworthy.module", value=f"module {index}")
        node.metadata_props.add(key="edgeworthy.source", value=f"file.py:{index}")
    return proto


def checked(
    proto: onnx.ModelProto, ort_outputs: Callable[..., list[Any]], feeds: dict[str, Any], tolerance: float = 2e-5
) -> Counter[str]:
    """Run the pipeline, holding every step against ONNX Runtime and the contracts; the operators that remain."""
    want = ort_outputs(proto, feeds)
    held: set[Any] = set()
    by_name = {p.name: p for p in passes_of(PIPELINE)}

    def check(model: ir.Model, name: str) -> None:
        for got, expected in zip(ort_outputs(ir.to_proto(model), feeds), want, strict=True):
            scale = max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale, err_msg=f"after {name}")
        held.difference_update(by_name[name].breaks)
        held.update(by_name[name].ensures)
        broken = {p.name: v for p in held if (v := p.violation(model)) is not None}
        assert not broken, name

    model = ir.from_proto(proto)
    run_passes(model, check=check)
    for node in model.graph.all_nodes():
        assert {"edgeworthy.module", "edgeworthy.source"} <= node.metadata_props.keys(), node.name
    again = {r.name: r.changed for r in run_passes(model) if r.changed}
    assert not again, "a second run changes the model"
    onnx.checker.check_model(ir.to_proto(model))
    return Counter(f"{n.domain}::{n.op_type}" if n.domain else n.op_type for n in model.graph)


class Convolutions(nn.Module):  # type: ignore[name-defined,misc]
    """Everything that should disappear into a convolution or a linear layer, and what can't."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.depthwise = nn.Conv2d(8, 8, 3, stride=2, groups=8)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in (8, 8, 6, 9))
        self.linear = nn.Linear(9, 5)
        self.last = nn.BatchNorm1d(5)

    def forward(self, x: Any) -> Any:
        y = F.relu6(self.norms[0](self.conv(F.pad(x, (1, 1, 1, 1)))))
        y = F.hardswish(self.norms[1](self.depthwise(F.pad(y, (0, 1, 0, 1)))))
        y = self.norms[2](self.up(y))
        y = F.relu(self.norms[3](torch.cat([x[:, :, :16, :16], y], 1)))
        return self.last(self.linear(y.mean((2, 3))))


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_convolutions(ort_outputs: Any, exporter: str) -> None:
    x = torch.randn(2, 3, 16, 16)
    proto = export(Convolutions(), (x,), exporter)
    ops = checked(proto, ort_outputs, {proto.graph.input[0].name: x.numpy()})
    assert "Pad" not in ops
    assert "BatchNormalization" not in ops
    assert (ops["Mul"], ops["Add"]) == (1, 1), "only the normalization after the concatenation remains"
    assert ops["HardSwish"] + ops["edgeworthy::HardSwish"] == 1


class Sequences(nn.Module):  # type: ignore[name-defined,misc]
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(3, 8, 3, padding=1), nn.Conv1d(8, 8, 5, padding=2, groups=2)
        self.norm, self.up = nn.BatchNorm1d(8), nn.ConvTranspose1d(8, 4, 2, stride=2)

    def forward(self, x: Any) -> Any:
        y = F.relu(self.norm(self.a(x)))
        y = F.max_pool1d(y + self.b(y), 2)
        return F.interpolate(F.leaky_relu(self.up(y)), scale_factor=2.0, mode="nearest").mean(-1)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_sequences(ort_outputs: Any, exporter: str) -> None:
    x = torch.randn(2, 3, 20)
    proto = export(Sequences(), (x,), exporter)
    ops = checked(proto, ort_outputs, {proto.graph.input[0].name: x.numpy()})
    assert (ops["Unsqueeze"], ops["Squeeze"]) == (1, 1), "one image from the first convolution to the last resize"


class Shuffle(nn.Module):  # type: ignore[name-defined,misc]
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 1, groups=2)

    def forward(self, x: Any) -> Any:
        y = self.a(x)
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)
        return self.b(y)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_channel_shuffle(ort_outputs: Any, exporter: str) -> None:
    x = torch.randn(1, 4, 5, 6)
    proto = export(Shuffle(), (x,), exporter)
    ops = checked(proto, ort_outputs, {proto.graph.input[0].name: x.numpy()})
    assert ops == {"Conv": 2, "Transpose": 3, "Reshape": 2}


def text_model() -> Any:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, vocab_size=99,
        max_position_embeddings=32,
    )  # fmt: skip
    bert = transformers.BertModel(config)

    class Encoder(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.bert = bert

        def forward(self, ids: Any, mask: Any) -> Any:
            return self.bert(input_ids=ids, attention_mask=mask).last_hidden_state

    return Encoder()


@pytest.mark.parametrize("exporter", ["dynamo", "dynamo-18", "torchscript-17"])
def test_bert(ort_outputs: Any, exporter: str) -> None:
    ids, mask = torch.randint(0, 99, (1, 16)), torch.ones(1, 16, dtype=torch.int64)
    mask[0, 12:] = 0
    proto = export(text_model(), (ids, mask), exporter)
    names = [i.name for i in proto.graph.input][:2]
    ops = checked(proto, ort_outputs, dict(zip(names, (ids.numpy(), mask.numpy()), strict=True)))
    assert ops["Gelu"] + ops["edgeworthy::Gelu"] == 2
    assert ops["LayerNormalization"] == 5
    assert ops["Transpose"] == 8, "q, kᵀ, v and the result, in each layer"
    assert ops["Mul"] == 0, "the scale of the attention is in the weights of q and k"
    assert ops["Shape"] == 0


def test_bert_of_any_length(ort_outputs: Any) -> None:
    ids, mask = torch.randint(0, 99, (2, 16)), torch.ones(2, 16, dtype=torch.int64)
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", min=2, max=30)
    proto = export(text_model(), (ids, mask), "dynamo", dynamic=({0: batch, 1: length},) * 2)
    feeds = {
        "ids": np.arange(33, dtype=np.int64).reshape(3, 11),
        "mask": (np.arange(33).reshape(3, 11) % 5 > 0).astype(np.int64),
    }
    ops = checked(proto, ort_outputs, feeds)
    assert ops["Gelu"] == 2


@pytest.mark.parametrize("exporter", ["dynamo", "dynamo-18", "torchscript-17"])
def test_vit(ort_outputs: Any, exporter: str) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, image_size=32, patch_size=8
    )
    model = transformers.ViTModel(config)

    class Encoder(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.vit = model

        def forward(self, x: Any) -> Any:
            return self.vit(x).last_hidden_state

    x = torch.randn(1, 3, 32, 32)
    proto = export(Encoder(), (x,), exporter)
    ops = checked(proto, ort_outputs, {proto.graph.input[0].name: x.numpy()})
    assert ops["Gelu"] + ops["edgeworthy::Gelu"] == 2
    assert ops["IsNaN"] == ops["Where"] == ops["Mul"] == 0
    assert ops["Transpose"] == 9, "the patches, and four in each layer"


def parsed(body: str, opset: int = 13, **weights: Any) -> ir.Model:
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> g (float[2,4] x) => (float[2,4] y) {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    for name, array in weights.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return ir.from_proto(proto)


def test_check_is_called_after_each_pass_that_changed_something() -> None:
    called: list[str] = []
    model = parsed("a = Identity (x) c = Constant <value_float = 0.5> () y = Mul (a, c)")
    reports = run_passes(model, check=lambda model, name: called.append(name))
    assert called == ["lift_constants", "remove_noops"]
    changed = {r.name for r in reports if r.changed}
    assert changed == set(called)
    assert [r.name for r in reports] == list(dict.fromkeys(p.name for p in passes_of(PIPELINE)))
    assert all(r.seconds >= 0 for r in reports)


def test_what_check_raises_ends_the_run() -> None:
    def check(model: ir.Model, name: str) -> None:
        raise RuntimeError(name)

    with pytest.raises(RuntimeError, match="remove_noops"):
        run_passes(parsed("a = Identity (x) y = Relu (a)"), check=check)


def test_refusals_are_of_nodes_that_remain() -> None:
    """Erf isn't lowered and has no function body, but ends in a GELU; Sin doesn't."""
    body = "u = Div (x, r) e = Erf (u) v = Add (e, o) m = Mul (x, v) z = Mul (m, h) y = Sin (z)"
    numbers = {n: np.array(v, np.float32) for n, v in {"r": 2**0.5, "o": 1, "h": 0.5}.items()}
    model = parsed(body, 20, **numbers)
    for node in model.graph:
        node.name = f"the {node.op_type}"
    reports = {r.name: r for r in run_passes(model, is_lowered=lambda domain, op, version: op not in ("Erf", "Sin"))}
    assert [n.op_type for n in model.graph] == ["Gelu", "Sin"]
    assert [r.node for r in reports["expand_functions"].refusals] == ["the Sin"]


def test_the_same_model_becomes_the_same_bytes() -> None:
    def once() -> bytes:
        model = parsed(
            "a = MatMul (x, w) b = Mul (a, g) y = Gelu (b)", 20, w=np.eye(4, dtype=np.float32), g=np.ones(4, np.float32)
        )
        run_passes(model, is_lowered=lambda domain, op, version: op != "Gelu")
        return bytes(ir.to_proto(model).SerializeToString(deterministic=True))

    assert once() == once()


def test_large_weights_are_neither_read_nor_copied() -> None:
    weight = np.zeros((4, 4_000_000), np.float32)
    tensor = ir.Tensor(weight, name="w")
    value = ir.Value(name="w", shape=ir.Shape(weight.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    x = ir.val("x", ir.DataType.FLOAT, (2, 4))
    first = ir.node("MatMul", [x, value], name="first")
    transposed = ir.node("Transpose", [value], {"perm": [1, 0]}, name="transposed")
    second = ir.node("MatMul", [first.outputs[0], transposed.outputs[0]], name="second")
    for node, name in ((first, "a"), (transposed, "t"), (second, "y")):
        node.outputs[0].name = name
    graph = ir.Graph(
        [x], second.outputs, nodes=[first, transposed, second], initializers=[value], opset_imports={"": 18}
    )
    model = ir.Model(graph, ir_version=8)
    tracemalloc.start()
    run_passes(model)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [n.op_type for n in model.graph] == ["MatMul", "MatMul"]
    assert peak < weight.nbytes / 8


def test_the_passes_need_no_runtime_and_no_exporter() -> None:
    code = (
        "import sys, edgeworthy.convert.passes\n"
        "loaded = {'torch', 'onnxruntime', 'onnxscript', 'tensorflow', 'onnx.reference'} & sys.modules.keys()\n"
        "sys.exit(str(loaded) if loaded else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
