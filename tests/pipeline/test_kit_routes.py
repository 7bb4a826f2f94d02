"""The real converters in their kits, judged as our own file is (`make test-device`)."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgeworthy
from edgeworthy import kits
from edgeworthy.convert.routes import CONVERTERS

ROUTES = [name for name, info in CONVERTERS.items() if info.kit]


@pytest.mark.device
@pytest.mark.parametrize("name", ROUTES)
def test_its_file_computes_what_pytorch_does(name: str, tmp_path: Path) -> None:
    if CONVERTERS[name].missing():
        pytest.skip(f"its kit isn't there: {CONVERTERS[name].install}")
    report = edgeworthy.run(
        "sample:digits_cnn",
        tmp_path,
        stages=("validate",),
        convert={"to": ["tflite"]},
        quantize={"schemes": []},
        artifacts={"files": [f"route:{name}"]},
        targets=["pytorch", "onnxruntime", "tflite"],
    )
    assert report.parity
    hop = report.parity.hop(f"route:{name}")
    assert hop and hop.status == "pass", hop and hop.failure
    artifact = report.artifact(f"route:{name}")
    assert artifact and artifact.made_by == f"{name} {kits.KITS[name].version}"
