"""The zoo: a row made for real, what is left of one that dies, the list of what can't be had, and the page."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.benchmarks import zoo, zoo_rows
from edgeworthy.benchmarks.architectures.catalogue import ARCHITECTURES, fingerprint
from edgeworthy.benchmarks.zoo_rows import CONVERTED, FIXED, VARYING, Outcome, Row, Workshop
from edgeworthy.targets.remote.there.litert import LiteRTModel


def row(name: str = "mlp", mode: str = FIXED, cause: str = "", **outcomes: Outcome) -> Row:
    made = {kind: outcomes.get(kind, Outcome("pass", 1.5)) for kind in ("onnx", *CONVERTED)}
    return Row(name, mode, cause=cause, sizes=[{"batch": 2}] if mode == VARYING else [{}], outcomes=made)


def test_there_are_sixty_and_they_vary() -> None:
    assert len(ARCHITECTURES) >= 60
    assert sum(bool(one.axes) for one in ARCHITECTURES.values()) >= 0.9 * len(ARCHITECTURES)
    for one in ARCHITECTURES.values():
        assert set(one.axes) <= set(one.inputs)


def test_rows_are_made_kept_and_made_again(tmp_path: Path) -> None:
    with Workshop() as workshop:
        found = workshop.row("rwkv_step", VARYING, tmp_path)
        assert found.passes, found
        assert found.inputs == ["ids:int64[batch]", "state:float32[batch,2,5,24]"]
        assert found.sizes == [{"batch": 2}, {"batch": 3}, {"batch": 1}]
        assert all(0 < (found.outcomes[kind].ratio or 0) <= 10 for kind in ("onnx", *CONVERTED))
        assert (found.outcomes["tflite"].operators or 0) > 20

        unknown = workshop.row("no_such", FIXED, tmp_path)
        assert not unknown.passes and "no_such" in unknown.why("tflite")
        assert workshop._child is not None
        os.kill(workshop._child.pid, signal.SIGKILL)
        assert "SIGKILL" in workshop.row("rwkv_step", FIXED, tmp_path).why("saved_model")
    found.key = fingerprint("rwkv_step")
    (tmp_path / "rwkv_step.dynamic.json").write_text(json.dumps(found.as_json()))
    # It passes, so nothing is started to give it again.
    assert list(zoo.made([("rwkv_step", VARYING)], tmp_path, {}, anew=False)) == [found]
    assert list(zoo.stored(zoo.all_jobs(), tmp_path)) == [found]


def test_extents_are_of_three_sizes() -> None:
    inputs = (TensorSpec("x", "float32", ("batch", 3, "height")), TensorSpec("n", "int64", ("batch",)))
    examples: dict[str, Any] = {"x": np.zeros((1, 3, 9), np.float32), "n": np.zeros(1, np.int64)}
    assert zoo_rows.choices(inputs, examples, ()) == [
        {"batch": 2, "height": 9}, {"batch": 3, "height": 12}, {"batch": 1, "height": 6},
    ]  # fmt: skip
    assert zoo_rows.choices(inputs, examples, ({"height": 8}, {"height": 16}, {}))[1] == {"batch": 3, "height": 16}


def test_the_list_is_strict(tmp_path: Path) -> None:
    file = tmp_path / "expected.toml"
    file.write_text(
        '[[expected]]\nrows = ["mlp static", "unet dynamic"]\nartifacts = ["tflite"]\nsays = "too many"\nreason = "R"\n'
    )
    listed = zoo.expected(file)
    fails = Outcome("error", cause="too many axes")
    assert zoo.unexpected([row(tflite=fails)], listed) == []
    assert zoo.unexpected([row()], listed) == ["mlp, static, tflite passes, and is listed: R"]
    assert zoo.unexpected([row(tflite=Outcome("error", cause="other"))], listed) == [
        "mlp, static, tflite fails otherwise than listed ('too many'): other"
    ]
    assert zoo.unexpected([row(saved_model=fails, tflite=fails)], listed) == ["mlp, static, saved_model: too many axes"]
    assert len(zoo.unexpected([row("unet", FIXED, cause="no graph")], listed)) == 2


@pytest.mark.parametrize("name", zoo.expected())
def test_the_list_names_rows(name: tuple[str, str, str]) -> None:
    assert name[:2] in zoo.all_jobs() and name[2] in CONVERTED


def test_the_page() -> None:
    bad = row("unet", VARYING, tflite=Outcome("fail", 21.0, cause="21 noise floors"))
    shown = [row(), bad, row("bert_base", cause="no export")]
    page = zoo.markdown(shown, "python zoo.py", {})
    assert f"3 of {len(ARCHITECTURES)} architectures" in page and f"3 of {len(zoo.all_jobs())} rows" in page
    assert "tflite 1 of 3, saved_model 2 of 3" in page
    assert "| unet | batch height width | – | – | – | 1.50× | **21.00×** | 1.50× |" in page
    assert "**no graph**" in page and "- bert_base, static, tflite: no export" in page
    assert "- unet, dynamic, tflite: 21 noise floors" in page
    listed = {("unet", VARYING, "tflite"): {"says": "noise floors", "reason": "R"}}
    assert "- unet, dynamic, tflite: *noise floors*: R\n" in zoo.markdown(shown, "python zoo.py", listed)
    listed = {("unet", VARYING, "tflite"): {"says": "another", "reason": "R"}}
    assert "- unet, dynamic, tflite: 21 noise floors\n" in zoo.markdown(shown, "python zoo.py", listed)


@pytest.mark.slow
def test_later_runs_of_a_file_in_many_parts_are_right(tmp_path: Path) -> None:
    """LiteRT 2.3 computes them wrongly in one load of four, unless all of XNNPACK's parts are fitted once more."""
    made = zoo_rows._export("diffusion_unet", VARYING, tmp_path)
    artifact, _, _ = zoo_rows._convert(made.onnx, tmp_path, "tflite")
    first, second = made.samples[:2]
    session = ort.InferenceSession(str(made.onnx.path))
    wanted = [session.run(None, feed)[0] for feed in (first, second)]
    for _ in range(25):
        model = LiteRTModel(str(artifact.path), 1)
        for number in (0, 1, 1, 0):
            got = model.run((first, second)[number])["output"]
            np.testing.assert_allclose(got, wanted[number], atol=1e-3)
