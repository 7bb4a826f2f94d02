"""A package of a third party, as pip would install it, whose converters work, fail and misbehave."""

from __future__ import annotations

from pathlib import Path

from . import reshaping

_INFO = """
from edgeworthy.convert.routes import ConverterInfo


def _entry(name, makes="tflite", module="edge_converters", **more):
    how, code = "pip install edge-converters", f"edge_converters:{name}"
    return ConverterInfo(name, f"{name}, for tests", makes, module, ("edge-converters",), how, code, **more)


flow, plain, scaled, tampers, raises, refuses, aborts, hangs, floods = map(
    _entry, ("flow", "plain", "scaled", "tampers", "raises", "refuses", "aborts", "hangs", "floods")
)
garbage, damaged, nothing, onnx, outside, number, other = map(
    _entry, ("garbage", "damaged", "nothing", "onnx", "outside", "number", "other")
)
_MORE = "chatters screams leaves killed empty text folder linked huge fills speaks answers closes"
globals().update({name: _entry(name) for name in _MORE.split()})
saved = _entry("saved", "saved_model")
leads = _entry("leads", "saved_model")
direct = _entry("direct")
moody = _entry("moody")
grows = _entry("grows")
batched, last, unbatched, wider, doubled = map(_entry, ("batched", "last", "unbatched", "wider", "doubled"))
meets, greets, greedy, begins, lingers = map(_entry, ("meets", "greets", "greedy", "begins", "lingers"))
old = _entry("old", opset=15)
program = _entry("program", takes="pt2")
absent = _entry("absent", module="no_such_module")
again = _entry("plain")
three = 3
"""

_CODE = (
    """
import os, shutil, sys, tempfile, time
from pathlib import Path

from edgeworthy.errors import BadInput


def _convert(model, folder, **options):
    from edgeworthy.convert import convert
    return convert(model, folder, **options)


def plain(model, folder):
    return _convert(model, folder, to=["tflite"]).tflite.path


def saved(model, folder):
    return "saved_model" if _convert(model, folder, to=["saved_model"]) else None


def flow(model, folder):
    import tensorflow as tf
    made = _convert(model, folder, to=["saved_model"], io_layout="nhwc").saved_model
    path = folder / "theirs.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(made.path)).convert())
    return path


def scaled(model, folder):
    import onnx
    from onnx import numpy_helper
    proto = onnx.load(model)
    for weights in proto.graph.initializer:
        array = numpy_helper.to_array(weights)
        if array.ndim == 4:
            weights.CopyFrom(numpy_helper.from_array(1.5 * array, weights.name))
    onnx.save(proto, model)
    return plain(model, folder)


def other(model, folder):
    import onnx
    x, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [2, 7]) for n in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Abs", ["x"], ["y"])], "g", [x], [y])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10), model)
    return plain(model, folder)


def tampers(model, folder):
    made = plain(model, folder)
    model.write_bytes(b"gone")
    Path("litter").write_text("in the working folder")
    handle, name = tempfile.mkstemp()
    Path(os.environ["EDGE_TOLD"]).write_text(f"{os.getcwd()}\\n{name}")
    return made.name


def raises(model, folder):
    raise ValueError("no rule for Conv")


def refuses(model, folder):
    raise BadInput("the graph is too wide", details=["by 3"], remedy="make it narrower")


def aborts(model, folder):
    print("about to abort", flush=True)
    os.abort()


def hangs(model, folder):
    Path("begun").touch()
    time.sleep(600)


def floods(model, folder):
    line = b"x" * 99 + b"\\n"
    for _ in range(3000):
        os.write(1, line * 1000)
    raise ValueError("after 300 MB of output")


def meets(model, folder):
    _meet("meets")
    return plain(model, folder)


def greets(model, folder):
    _meet("greets")
    return plain(model, folder)


def _meet(name):
    square = Path(os.environ["EDGE_TOLD"])
    (square / name).touch()
    deadline = time.monotonic() + float(os.environ["EDGE_PATIENCE"])
    while len(list(square.iterdir())) < 2:
        if time.monotonic() > deadline:
            raise ValueError("nobody came")
        time.sleep(0.02)


def greedy(model, folder):
    block = b"x" * (256 << 20)
    time.sleep(1)
    return plain(model, folder) if block else None


def begins(model, folder):
    (Path(os.environ["EDGE_TOLD"]) / "begins").touch()
    time.sleep(600)


def lingers(model, folder):
    (Path(os.environ["EDGE_TOLD"]) / "lingers").touch()
    time.sleep(600)


def grows(model, folder):
    blocks = []
    while True:
        blocks.append(b"x" * (32 << 20))
        time.sleep(0.02)


def old(model, folder):
    import onnx
    (used,) = {entry.version for entry in onnx.load(model).opset_import if not entry.domain}
    if used != 15:
        raise ValueError(f"it is of opset {used}")
    return plain(model, folder)


def program(model, folder):
    import torch
    path = folder / "again.onnx"
    torch.onnx.export(torch.export.load(model), f=path, dynamo=True, external_data=False)
    return plain(path, folder)


def garbage(model, folder):
    path = folder / "made.tflite"
    path.write_bytes(b"\\x00\\x01" * 500)
    return path


def damaged(model, folder):
    path = plain(model, folder)
    path.write_bytes(path.read_bytes()[:-600])
    return path


def nothing(model, folder):
    return folder / "made.tflite"


def onnx(model, folder):
    return shutil.copy(model, folder / "made.onnx")


def outside(model, folder):
    return shutil.copy(plain(model, folder), folder.parent / "made.tflite")


def number(model, folder):
    return 3


def chatters(model, folder):
    for handle in (1, 2):
        os.write(handle, b'{"jsonrpc": 2, \\x00\\xff\\n' * 999)
    return plain(model, folder)


def screams(model, folder):
    for _ in range(2000):
        os.write(2, (b"y" * 99 + b"\\n") * 1000)
    raise ValueError("after 200 MB of errors")


def leaves(model, folder):
    os._exit(0)


def killed(model, folder):
    os.kill(os.getpid(), 9)


def empty(model, folder):
    path = folder / "made.tflite"
    path.touch()
    return path


def text(model, folder):
    path = folder / "made.tflite"
    path.write_text("no flatbuffer, whatever its name says")
    return path


def folder(model, folder):
    path = folder / "made.tflite"
    path.mkdir()
    return path


def linked(model, folder):
    path = folder / "made.tflite"
    path.symlink_to(shutil.copy(plain(model, folder), folder.parent / "elsewhere.tflite"))
    return path


def leads(model, folder):
    path = folder / "made"
    path.mkdir()
    (path / "saved_model.pb").touch()
    (path / "assets").symlink_to("/etc")
    return path


def huge(model, folder):
    path = plain(model, folder)
    os.truncate(path, 1 << 52)
    return path


def fills(model, folder):
    with (folder / "made.tflite").open("wb") as made:
        while True:
            made.write(bytes(1 << 20))


def speaks(model, folder):
    line = b'{"result": "made.tflite"}' + bytes([10])
    for handle in range(3, 64):
        try:
            os.write(handle, line)
        except OSError:
            pass
    time.sleep(600)


def answers(model, folder):
    import gc
    from multiprocessing.connection import Connection
    for one in gc.get_objects():
        if isinstance(one, Connection):
            one.send({"result": "made.tflite"})
    time.sleep(600)


def closes(model, folder):
    os.closerange(3, 64)
    time.sleep(600)


def direct(model, folder):
    return nothing(model, folder)


def moody(model, folder):
    # By operator: crashes, hangs, makes another file, or converts; tells what it was asked.
    import onnx
    (node,) = onnx.load(model).graph.node
    with open(os.environ["EDGE_TOLD"], "a") as told:
        told.write(node.op_type + "\\n")
    if node.op_type == "Add":
        os.abort()
    if node.op_type == "Softmax":
        time.sleep(600)
    if node.op_type == "Mul":
        raise ValueError("no answer from the server (timeout)")
    return other(model, folder) if node.op_type == "SequenceInsert" else plain(model, folder)


"""
    + reshaping.CODE
)

NAMES = ("a:b", "a/b", "..", "a_b", "Upper", "x" * 65)
"""That no converter may have: rows and files are called by them."""


def install(folder: Path, version: str = "1.0") -> None:
    """Write the package into ``folder``, which belongs on ``sys.path``."""
    (folder / "edge_info.py").write_text(_INFO)
    (folder / "edge_converters.py").write_text(_CODE)
    (folder / "edge_broken.py").write_text("raise RuntimeError('no licence')\n")
    (folder / "edge_wrong.py").write_text(_INFO + "wrong = _entry('wrong', 'pb')\n")
    info = folder / "edge_converters.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: edge-converters\nVersion: {version}\n")
    names = [line[4:].partition("(")[0] for line in _CODE.splitlines() if line.startswith("def ") and line[4] != "_"]
    entries = {name: f"edge_info:{name}" for name in (*names, "absent", "again", "three")}
    entries |= {name: f"edge_name_{i}:x" for i, name in enumerate(NAMES)}
    for i, name in enumerate(NAMES):
        code = _INFO + f"x = ConverterInfo({name!r}, '', 'tflite', 'edge_info', (), '', 'a:b')\n"
        (folder / f"edge_name_{i}.py").write_text(code)
    entries |= {"broken": "edge_broken:x", "gone": "edge_gone:x", "wrong": "edge_wrong:wrong"}
    lines = "\n".join(f"{name} = {value}" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[edgeworthy.converters]\n{lines}\n")
