"""`inspect` of a TFLite file: modules, transposes and partitions, each held against another reading."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx.parser
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import edgeworthy
from edgeworthy.convert import convert
from edgeworthy.convert.builders.tensor import Spec, Tensor
from edgeworthy.convert.builders.tflite import TfliteBuilder
from edgeworthy.formats.tflite import edit
from edgeworthy.formats.tflite.operations import read
from edgeworthy.formats.tflite.summary import summarize
from edgeworthy.pipeline.anatomy import Anatomy
from edgeworthy.pipeline.origins import Origins
from edgeworthy.targets.remote.there.litert import LiteRTModel
from edgeworthy.vocabulary import MODULE_KEY

NET = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(self.conv(x))


class Net(nn.Module):
    def __init__(self, sums=True, picks=True):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Linear(8 * 16, 10)
        self.sums, self.picks = sums, picks
        self.example_inputs = {"x": torch.ones(1, 3, 10, 10)}

    def forward(self, x):
        x = self.blocks(self.stem(x))
        x = torch.cumsum(x, 1) if self.sums else x
        x = torch.tanh(nn.functional.avg_pool2d(x, 2))
        x = x[:, [0, 3, 1, 4, 7, 6, 2, 5]] if self.picks else x
        return self.head(x.flatten(1)).argmax(-1)


def make():
    return Net().eval()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dissection")
    (folder / "net.py").write_text(NET)
    edgeworthy.run(f"{folder}/net.py:make", folder / "out", stages=("convert",), convert={"to": ["tflite"]})
    return folder / "out" / "model_float32.tflite"


def anatomy(path: Path) -> Anatomy:
    found = edgeworthy.inspect(path).anatomy
    assert found is not None
    return found


def net(**given: bool) -> torch.nn.Module:
    scope: dict[str, object] = {}
    exec(NET, scope)
    return scope["Net"](**given).eval()  # type: ignore[operator, no-any-return]


def test_modules(made: Path) -> None:
    """Against PyTorch's own count, and its parameters."""
    found, module = anatomy(made), net()
    assert found.modules_from == "the run's report"
    assert [m.module for m in found.modules] == [
        "", "stem", "blocks", "blocks.0", "blocks.0.conv", "blocks.1", "blocks.1.conv", "head",
    ]  # fmt: skip
    with FlopCounterMode(display=False) as counter:
        module(module.example_inputs["x"])  # type: ignore[index, operator]
    counts = {name: sum(of.values()) for name, of in counter.get_flop_counts().items()}
    for share in found.modules[1:]:
        assert share.flops == counts[f"Net.{share.module}"], share.module
        assert share.weight_bytes == 4 * sum(p.numel() for p in module.get_submodule(share.module).parameters())
        assert share.depth == share.module.count(".") + 1
    whole = found.modules[0]
    assert whole.ops == summarize(made).op_counts
    assert whole.flops > sum(counts[f"Net.{name}"] for name in ("stem", "blocks", "head"))
    assert whole.weight_bytes == sum(summarize(made).constant_bytes.values())


def test_partitions(made: Path, tmp_path: Path) -> None:
    """What a node divides, against the file without it."""
    found = anatomy(made).xnnpack
    receipt = LiteRTModel(str(made), 1).receipt()
    assert (found.nodes, found.delegated, found.partitions) == tuple(
        receipt[key] for key in ("nodes", "delegated", "partitions")
    )
    assert [[n.op for n in island.nodes] for island in found.islands] == [["CUMSUM"], ["GATHER_ND"], ["ARG_MAX"]]
    assert found.partitions == 3
    for island, left_out in zip(found.islands, ("sums", "picks"), strict=False):
        file = tmp_path / f"{left_out}.onnx"
        module = net(**{left_out: False})
        torch.onnx.export(module, (module.example_inputs["x"],), str(file), dynamo=False, opset_version=18)  # type: ignore[index, arg-type]
        other = edgeworthy.run(str(file), tmp_path / left_out, stages=("convert",), convert={"to": ["tflite"]})
        without = LiteRTModel(str(tmp_path / left_out / other.artifacts[0].path), 1).receipt()
        assert island.partitions == without["partitions"]
    end = found.islands[2]
    assert end.partitions == found.partitions, "it divides nothing"
    (node,) = found.islands[1].nodes
    assert node.source.startswith("net.py:")
    assert node.why == "XNNPACK looks nothing up"


def test_transposes(made: Path, tmp_path: Path) -> None:
    """As the layout step said; of a file that was taken elsewhere, by what stands around them."""
    graph = summarize(made).graphs[0]
    tensors = [graph.tensors[op.outputs[0]] for op in graph.ops if op.op == "TRANSPOSE"]
    found = anatomy(made).transposed
    assert [(t.tensor, t.bytes) for t in found] == [(t.name, 4 * np.prod(t.shape, dtype=int)) for t in tensors]
    turn, own = found
    assert own.why.startswith("the model transposes here: what TANH gives goes from one order of axes to another")
    assert own.source.startswith("net.py:")
    assert turn.why == "the input comes in the model's order, and Conv takes it channels-last only"
    assert turn.instead.startswith("`edgeworthy convert --io-layout nhwc` of the model")
    shutil.copy(made, tmp_path / "other.tflite")
    alone = anatomy(tmp_path / "other.tflite")
    assert alone.modules_from == ""
    turn, own = alone.transposed
    assert own.why == "what TANH gives goes from one order of axes to another, [3, 0, 1, 2], for GATHER_ND"
    assert turn.why == "what the input gives goes into channels-last for CONV_2D"
    assert (turn.module, turn.source, turn.axes) == ("", "", [0, 2, 3, 1])
    shutil.copy(made.parent / "report.json", tmp_path)
    b = TfliteBuilder([("x", Spec("float32", (2, 3)))])
    b.save([("y", b.unary("tanh", b.inputs[0]))], tmp_path / made.name)
    assert anatomy(tmp_path / made.name).modules_from == "", "the report speaks of another file of this name"


def test_a_shuffle_of_channels_in_steps(tmp_path: Path) -> None:
    """The form ``swap_by_places`` is told as what it is, and a transpose that is none of it isn't."""
    parts = torch.nn.Conv2d(3, 8, 3), torch.nn.ChannelShuffle(2), torch.nn.Conv2d(8, 4, 1)
    module = torch.nn.Sequential(*parts)
    torch.onnx.export(module.eval(), (torch.zeros(1, 3, 8, 8),), str(tmp_path / "m.onnx"), dynamo=True)
    made = edgeworthy.run(str(tmp_path / "m.onnx"), tmp_path / "out", stages=("convert",), convert={"to": ["tflite"]})
    found = anatomy(tmp_path / "out" / made.artifacts[0].path).transposed
    told = [turn.axes for turn in found if "one of three steps that swap its last axes" in turn.why]
    assert told == [[1, 0], [1, 0, 2], [1, 0]]
    assert len(found) > len(told)


def test_a_file_of_another_converter(tmp_path: Path) -> None:
    """Modules by the scopes of names; a constant that two tensors share is stored once."""
    b = TfliteBuilder([("x", Spec("float32", (2, 4)))])
    kernel = b.const(np.ones((4, 4), np.float32))
    with b.scope("encoder/layer_0/dense"):
        x = b.fully_connected(b.inputs[0], kernel, None)
    with b.scope("encoder/layer_1/dense"):
        x = b.fully_connected(b.unary("tanh", x), kernel, None)
    with b.scope("head"):
        x = b.unary("exp", x)
    b.save([("y", x)], tmp_path / "other.tflite")
    found = anatomy(tmp_path / "other.tflite")
    assert found.modules_from == "the names of tensors"
    assert {m.module: m.flops for m in found.modules}["encoder/layer_1"] == 2 * 2 * 4 * 4 + 2 * 4
    first, second = (m for m in found.modules if m.module.startswith("encoder/layer") and m.depth == 2)
    assert first.weight_bytes >= 64 > second.weight_bytes
    assert (found.transposed, found.xnnpack.partitions, found.xnnpack.islands) == ([], 1, [])


def test_names_as_torchscript_writes_them(tmp_path: Path) -> None:
    """They begin with a slash, which is no module."""
    b = TfliteBuilder([("x", Spec("float32", (2, 4)))])
    with b.scope("/features/features.0"):
        x = b.unary("tanh", b.inputs[0])
    with b.scope("/head"):
        x = b.unary("exp", x)
    b.save([("y", b.unary("abs", x))], tmp_path / "other.tflite")
    assert [op.name[0] for op in read(tmp_path / "other.tflite")][:2] == ["/", "/"]
    assert [(m.module, m.depth) for m in anatomy(tmp_path / "other.tflite").modules] == [
        ("", 0), ("features", 1), ("features/features.0", 2), ("head", 1),
    ]  # fmt: skip


def test_what_does_not_run_says_why(tmp_path: Path) -> None:
    b = TfliteBuilder([("x", Spec("float32", (2, 4)))])
    b.save([("y", b.unary("tanh", b.inputs[0]))], tmp_path / "custom.tflite")
    model = edit.read((tmp_path / "custom.tflite").read_bytes())
    (code,) = model.operatorCodes
    code.builtinCode = code.deprecatedBuiltinCode = 32
    code.customCode = b"Mine"
    (tmp_path / "custom.tflite").write_bytes(edit.write(model))
    found = anatomy(tmp_path / "custom.tflite")
    assert found.modules[0].ops == {"CUSTOM:Mine": 1}
    assert "Mine" in found.xnnpack.failure
    assert edgeworthy.inspect(tmp_path / "custom.tflite").runs_on["tflite"] == "no: it fails there, see below"


def test_what_a_pass_writes_is_its_nodes_own(tmp_path: Path) -> None:
    """A convolution over time becomes one over images, whose name is made of the node's."""
    text = """<ir_version: 10, opset_import: ["": 20]> net (float[1,4,9] x) => (float[1,4,7] y)
        { t = Tanh(x) c = Conv(t, w) y = Exp(c) }"""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((4, 4, 3), np.float32), "w"))
    for number, node in enumerate(model.graph.node):
        node.name = f"node_{number}"
        node.metadata_props.add(key=MODULE_KEY, value=f"net.{node.op_type.lower()}")
    onnx.save(model, tmp_path / "net.onnx")
    made = convert(tmp_path / "net.onnx", tmp_path, to=("tflite",)).tflite
    assert made is not None
    origins = Origins(tmp_path / "net.onnx")
    modules = {op.op: origins.of(op.name)[0] for op in read(made.path) if op.op in ("CONV_2D", "EXP", "TANH")}
    assert modules == {"CONV_2D": "net.conv", "EXP": "net.exp", "TANH": "net.tanh"}


RESIZED = """
<ir_version: 9, opset_import: ["": 20]>
net (float[1,4,H,W] x) => (float[1,4,P,Q] y) <float[4,4,3,3] w, float[4] s = {1, 1, 2, 2}>
{
    c = Conv<pads=[1,1,1,1]>(x, w)
    r = Resize<mode="linear">(c, , s)
    y = Relu(r)
}
"""


def test_what_divides_a_file_whose_extents_vary(tmp_path: Path) -> None:
    """Sizes that are computed; with fixed extents, as is advised, nothing is left."""
    found = {}
    for name, extents in (("varying", ("h", "w")), ("fixed", ("6", "8"))):
        text = RESIZED.replace("H,W", ",".join(extents)).replace("P,Q", "p,q")
        model = onnx.parser.parse_model(text)
        weights = np.random.default_rng(0).standard_normal((4, 4, 3, 3)).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
        del model.graph.value_info[:]
        (tmp_path / name).mkdir()
        onnx.save(model, tmp_path / name / "net.onnx")
        made = convert(tmp_path / name / "net.onnx", tmp_path / name, to=("tflite",)).tflite
        assert made is not None
        found[name] = anatomy(made.path)
    (island,) = found["varying"].xnnpack.islands
    fixed = "fixed extents where the file is made (of edgeworthy: --input), with which it is constant"
    said = {(node.op, node.why, node.instead) for node in island.nodes}
    computed = {(op, "it computes what depends on extents alone", fixed) for op in ("MUL", "SHAPE", "SLICE")}
    assert said == {*computed, ("RESIZE_BILINEAR", "it takes a size that is computed, and XNNPACK takes constant ones",
                                fixed)}  # fmt: skip
    assert (found["varying"].xnnpack.partitions, island.partitions, found["varying"].extents_vary) == (2, 1, True)
    assert (found["fixed"].xnnpack.partitions, found["fixed"].xnnpack.islands) == (1, [])
    assert not found["fixed"].extents_vary


def test_an_end_that_is_written_otherwise_is_an_end(tmp_path: Path) -> None:
    """What only changes how numbers are written may stand between the model's ends and a transpose, nothing else."""
    b = TfliteBuilder([("x", Spec("float16", (1, 3, 8, 6)))])
    kernel = b.const(np.ones((3, 1, 1, 3), np.float32))

    def convolved(x: Tensor) -> Tensor:
        turned = b.transpose(x, (0, 2, 3, 1))
        y = b.conv_2d(turned, kernel, None, strides=(1, 1), dilations=(1, 1), padding="VALID")
        return b.transpose(y, (0, 3, 1, 2))

    between = b.cumsum(convolved(b.cast(b.inputs[0], "float32")), b.const(np.int32(3)), exclusive=False, reverse=False)
    b.save([("y", b.cast(convolved(between), "float16"))], tmp_path / "m.tflite")
    found = anatomy(tmp_path / "m.tflite").transposed
    assert [turn.instead.rpartition(", and ")[2] for turn in found] == [
        "feed it channels-last", "", "", "read it channels-last",
    ]  # fmt: skip
