from __future__ import annotations
import os
import zipfile
from pathlib import Path
import numpy as np
import pytest
from onnx import helper, TensorProto
from . import onnx_models
from .sandbox import Sandbox

CONVERT = ("convert", "model.onnx", "-o", "out", "--to", "tflite")

def garbage(p): p.write_bytes(bytes(np.random.default_rng(0).integers(0, 256, 5000, np.uint8)))
def truncated(at):
    def make(p):
        data = onnx_models.write(p).read_bytes(); p.write_bytes(data[:int(len(data)*at)])
    make.__name__ = f"truncated_{at}"
    return make
def text(p): p.write_text("this is no model\n"*20)
def html(p): p.write_text("<!DOCTYPE html><html>404</html>")
def lfs(p): p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n")
def folder(p): p.mkdir()
def empty(p): p.touch()
def missing(p): pass
def zipf(p):
    with zipfile.ZipFile(p, "w") as z: z.writestr("a", "b")
def fifo(p): os.mkfifo(p)
def loop(p): p.symlink_to(p)
def dangling(p): p.symlink_to("nowhere")
def nan(p):
    w = np.ones((40,30), np.float32); w[3,4]=np.nan; onnx_models.write(p, weight=w)
def opset(p): onnx_models.write(p, opset=99)
def ir(p): onnx_models.write(p, ir=99)
def noopset(p):
    m = onnx_models.model(); del m.opset_import[:]; p.write_bytes(m.SerializeToString())
def orphan(p): onnx_models.write(p, nodes=[helper.make_node("MatMul", ["x", "nothing"], ["y"], "product")])
def cycle(p): onnx_models.write(p, nodes=[helper.make_node("Add", ["x", "b"], ["a"], "p"), helper.make_node("Relu", ["a"], ["b"]), helper.make_node("MatMul", ["b","weight"], ["y"])])
def unknown_op(p): onnx_models.write(p, nodes=[helper.make_node("MatMul", ["x", "weight"], ["h"], "product"), helper.make_node("Frobnicate", ["h"], ["y"], "frob")])
def unknown_domain(p): onnx_models.write(p, domains={"com.acme": 1}, nodes=[helper.make_node("MatMul", ["x", "weight"], ["h"], "product"), helper.make_node("Frobnicate", ["h"], ["y"], "frob", domain="com.acme")])
def undeclared(p): onnx_models.write(p, nodes=[helper.make_node("MatMul", ["x", "weight"], ["h"], "product"), helper.make_node("Frobnicate", ["h"], ["y"], "frob", domain="com.acme")])
def several(p): onnx_models.write(p, domains={"com.acme": 1}, nodes=[helper.make_node("MatMul", ["x", "weight"], ["h"], "product"), helper.make_node("Frobnicate", ["h"], ["h2"], "frob", domain="com.acme"), helper.make_node("Det", ["h2"], ["h3"], "det"),helper.make_node("Nonsense", ["h3"], ["y"], "non")])
def badattr(p): onnx_models.write(p, nodes=[helper.make_node("MatMul", ["x", "weight"], ["h"], "product"), helper.make_node("Relu", ["h"], ["y"], "r", foo=3)])
def badshape(p): onnx_models.write(p, weight=np.ones((7,30),np.float32))
def noinputs(p): onnx_models.write(p, nodes=[helper.make_node("Relu", [], ["y"], "r")])
def seq(p): onnx_models.write(p, inputs=[helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)])
def string(p): onnx_models.write(p, inputs=[helper.make_tensor_value_info("x", TensorProto.STRING, ["n", 40])])
def noshape(p): onnx_models.write(p, inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, None)])
def zero(p): onnx_models.write(p, inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, [0,40])])
def wrongout(p):
    m = onnx_models.model(); m.graph.output[0].name="zzz"; p.write_bytes(m.SerializeToString())
def dup(p): onnx_models.write(p, nodes=[helper.make_node("MatMul", ["x", "weight"], ["y"], "product"), helper.make_node("Relu", ["x"], ["y"], "r")])
def ext_missing(p): onnx_models.write_external(p, "w.bin")
def ext_short(p): onnx_models.write_external(p, "w.bin"); (p.parent/"w.bin").write_bytes(b"123")
def ext_out(p): onnx_models.write_external(p, "../w.bin"); (p.parent.parent/"w.bin").write_bytes(b"\0"*4800)
def ext_abs(p): onnx_models.write_external(p, "/etc/passwd")
def ext_link(p): onnx_models.write_external(p, "w.bin"); (p.parent/"w.bin").symlink_to("/etc/passwd")
def ext_empty(p): onnx_models.write_external(p, "")
def ext_folder(p): onnx_models.write_external(p, "w.bin"); (p.parent/"w.bin").mkdir()

ALL = [v for k, v in list(globals().items()) if callable(v) and getattr(v, "__module__", None)==__name__ and k not in ("truncated",)] + [truncated(x) for x in (0.01, 0.5, 0.9, 0.99)]
@pytest.mark.parametrize("make", ALL, ids=lambda f: f.__name__)
def test_it(sandbox, make):
    make(sandbox.folder / "model.onnx")
    sandbox.refused(*CONVERT)
