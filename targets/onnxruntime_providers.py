"""ONNX Runtime's execution providers: what each is, how to get it, and what it is given. Data alone.

Sources: https://onnxruntime.ai/docs/execution-providers (each provider's page, and plugin-ep-libraries/usage).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .info import TF32, Setting, one_of

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"


@dataclass(frozen=True)
class Provider:
    """An execution provider.

    Attributes:
        name: What comes after ``onnxruntime:``.
        provider: ONNX Runtime's name of it.
        title: What its rows are called.
        summary: One line.
        install: How to get it.
        distributions: Packages of ONNX Runtime that have it built in, as pip calls them.
        plugin: Python package that brings it to any build of ONNX Runtime; empty where there is none.
        device: What it computes on.
        below: Providers that take what it leaves, before the CPU.
        given: Its options, made of the threads and of the settings that users gave.
        settings: What users may set.
        aliases: Other names of the target.
    """

    name: str
    provider: str
    title: str
    summary: str
    install: str
    distributions: tuple[str, ...] = ("onnxruntime",)
    plugin: str = ""
    device: Literal["cpu", "cuda"] = "cpu"
    below: tuple[str, ...] = ()
    given: Callable[[int, Mapping[str, Any]], dict[str, str]] = lambda threads, settings: {}
    settings: Mapping[str, Setting] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


def _cuda(threads: int, settings: Mapping[str, Any]) -> dict[str, str]:
    return {"use_tf32": str(int(settings.get("tf32", False)))}


def _tensorrt(threads: int, settings: Mapping[str, Any]) -> dict[str, str]:
    return {"trt_fp16_enable": str(int(settings.get("precision") == "float16"))}


def _openvino(threads: int, settings: Mapping[str, Any]) -> dict[str, str]:
    """Left to itself, OpenVINO computes in bfloat16 on CPUs that can."""
    kind = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}[settings.get("precision", "float32")]
    properties = {"INFERENCE_PRECISION_HINT": kind, "INFERENCE_NUM_THREADS": threads}
    return {"load_config": json.dumps({"CPU": properties})}


def _precisions(*names: str) -> dict[str, Setting]:
    return {"precision": Setting(f"what it computes in; default: {names[0]}", one_of(*names), "|".join(names))}


_FROM_SOURCE = "build ONNX Runtime from source with"

PROVIDERS = {
    entry.name: entry
    for entry in (
        Provider("cpu", CPU, "ONNX Runtime", "ONNX Runtime on the CPU", "pip install onnxruntime",
                 ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-migraphx")),
        Provider("cuda", CUDA, "ONNX Runtime CUDA", "ONNX Runtime on an NVIDIA GPU",
                 "pip install 'onnxruntime-gpu[cuda,cudnn]' in place of onnxruntime",
                 ("onnxruntime-gpu", "onnxruntime"), device="cuda", given=_cuda, settings=TF32,
                 aliases=("onnxruntime-cuda",)),
        Provider("tensorrt", "TensorrtExecutionProvider", "ONNX Runtime TensorRT",
                 "ONNX Runtime on an NVIDIA GPU, compiled by TensorRT",
                 "pip install 'onnxruntime-gpu[cuda,cudnn]' in place of onnxruntime, and TensorRT of the version that "
                 "it was built with (libnvinfer.so) on LD_LIBRARY_PATH: pip install 'tensorrt-cu13<11'",
                 ("onnxruntime-gpu", "onnxruntime"), device="cuda", below=(CUDA,), given=_tensorrt,
                 settings=TF32 | _precisions("float32", "float16"), aliases=("tensorrt",)),
        Provider("openvino", "OpenVINOExecutionProvider", "ONNX Runtime OpenVINO",
                 "ONNX Runtime on an Intel CPU, compiled by OpenVINO", "pip install onnxruntime-ep-openvino",
                 ("onnxruntime", "onnxruntime-openvino"), plugin="onnxruntime_ep_openvino", given=_openvino,
                 settings=_precisions("float32", "bfloat16", "float16")),
        Provider("webgpu", "WebGpuExecutionProvider", "ONNX Runtime WebGPU",
                 "ONNX Runtime on any GPU that Vulkan, Metal or Direct3D 12 drives",
                 "pip install onnxruntime-ep-webgpu, and a GPU's driver", plugin="onnxruntime_ep_webgpu"),
        Provider("xnnpack", "XnnpackExecutionProvider", "ONNX Runtime XNNPACK",
                 "ONNX Runtime on the CPU with XNNPACK, as on phones", f"{_FROM_SOURCE} --use_xnnpack --build_wheel",
                 given=lambda threads, settings: {"intra_op_num_threads": str(threads)}),
        Provider("dnnl", "DnnlExecutionProvider", "ONNX Runtime oneDNN", "ONNX Runtime on the CPU with oneDNN",
                 f"{_FROM_SOURCE} --use_dnnl --build_wheel"),
        Provider("migraphx", "MIGraphXExecutionProvider", "ONNX Runtime MIGraphX",
                 "ONNX Runtime on an AMD GPU, compiled by MIGraphX",
                 "pip install onnxruntime-migraphx in place of onnxruntime, with ROCm",
                 ("onnxruntime-migraphx", "onnxruntime")),
    )
}  # fmt: skip
"""Name → provider."""

BY_NAME = {entry.provider: entry for entry in PROVIDERS.values()}
"""ONNX Runtime's name → provider."""
