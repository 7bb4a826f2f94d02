"""The Kotlin that is written and samples/android: compiled against declarations of LiteRT and Android, linted, and run
where no Android is needed. The compiler is the kit `kotlin`; what a phone does, only a phone can tell.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeworthy import kits
from edgeworthy.android.export import export_android
from edgeworthy.artifact import TFLiteModel
from edgeworthy.formats.tflite.summary import QuantizationParameters, summarize
from edgeworthy.numerics.comparison import compare

pytestmark = pytest.mark.device

HERE = Path(__file__).parent
SAMPLE = HERE.parents[1] / "samples/android"
Jvm = Callable[[str, bytes], bytes]


def java(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("java") is None:
        pytest.skip("there is no java")
    return subprocess.run(["java", *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def kit() -> Path:
    kits.install(kits.find("kotlin"))
    return kits.launch(kits.find("kotlin")).folder


@pytest.fixture(scope="session")
def classes(
    kit: Path,
    folder: Path,
    float_net: TFLiteModel,
    steps_nets: dict[str, TFLiteModel],
    bad_names: Path,
    two_signatures: Path,
    no_signature: Path,
) -> Path:
    """Where the generated classes are, below ``src``, and what all compiles to, below ``classes``."""
    labels = folder / "labels.txt"
    labels.write_text("\n".join("abcdefghij"))
    for path in (float_net.path, bad_names, two_signatures, no_signature, *(m.path for m in steps_nets.values())):
        export_android(path, folder / "assets", kotlin=folder / "src", labels=None if path == bad_names else labels)
    for name in ("int", "float array", "map", "accelerator"):
        export_android(float_net.path, folder / "assets", kotlin=folder / "src", name=name)
    sources = [p for root in (folder / "src", HERE, SAMPLE) for p in root.rglob("*.kt")]
    assert len(sources) > 20
    library = kit / "kotlin/lib"
    ran = java(
        "-cp", f"{library}/*", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-Werror", "-no-stdlib", "-no-reflect",
        "-cp", library / "kotlin-stdlib.jar", "-d", folder / "classes", *sources,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture
def jvm(kit: Path, classes: Path, tmp_path: Path) -> Jvm:
    def run(what: str, data: bytes) -> bytes:
        (tmp_path / "in").write_bytes(data)
        path = f"{classes / 'classes'}:{kit / 'kotlin/lib/kotlin-stdlib.jar'}"
        ran = java("-cp", path, "MainKt", what, tmp_path / "in", tmp_path / "out")
        assert ran.returncode == 0, ran.stderr
        return (tmp_path / "out").read_bytes()

    return run


def steps(model: TFLiteModel, side: str) -> QuantizationParameters:
    graph = summarize(model.path).graphs[0]
    found = graph.tensors[getattr(graph, side)[0]].quantization
    assert found is not None
    return found


def test_it_compiles(classes: Path) -> None:
    made = {p.name for p in (classes / "classes/com/example/model").iterdir()}
    assert {"IntModel.class", "FloatArrayModel.class", "MapModel.class", "AcceleratorModel.class"} <= made
    assert {"MyNetV1.class", "Int8$ServingDefault.class", "BadNames$ServingDefaultOutputs.class"} <= made
    assert (classes / "classes/edgeworthy/sample/ParityTest.class").is_file()


def test_a_wrong_use_does_not_compile(kit: Path, classes: Path, tmp_path: Path) -> None:
    """The declarations do check: a float array for steps, and a method that LiteRT doesn't have."""
    wrong = tmp_path / "Wrong.kt"
    wrong.write_text(
        "fun a(m: com.example.model.Int8) = m.servingDefault(FloatArray(3072))\n"
        "fun b(m: com.google.ai.edge.litert.TensorBuffer) = m.writeDouble(DoubleArray(1))\n"
    )
    library = kit / "kotlin/lib"
    ran = java(
        "-cp", f"{library}/*", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-no-stdlib", "-no-reflect",
        "-cp", f"{library / 'kotlin-stdlib.jar'}:{classes / 'classes'}", "-d", tmp_path / "classes", wrong,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "Wrong.kt:1:53: error: argument type mismatch" in ran.stderr
    assert "unresolved reference 'writeDouble'" in ran.stderr


def test_ktlint_has_nothing_to_say(kit: Path, classes: Path) -> None:
    shutil.copy(SAMPLE / ".editorconfig", classes / "src/.editorconfig")
    sources = [p for root in (classes / "src", SAMPLE) for p in (*root.rglob("*.kt"), *root.rglob("*.kts"))]
    ran = java("-jar", kit / "ktlint/resources/ktlint", "--log-level=none", *sources)
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_steps_are_those_of_numpy(dtype: str, steps_nets: dict[str, TFLiteModel], jvm: Jvm) -> None:
    found = steps(steps_nets[dtype], "inputs")
    random = np.random.default_rng(0)
    values = random.normal(size=3072).astype(np.float32) * 4
    ties = (np.arange(-600, 600) + 0.5) * found.scale
    values[:1200] = ties
    values[1200:1206] = [0, -0.0, 1e30, -1e30, np.inf, -np.inf]
    limits = np.iinfo(dtype)
    wanted = np.clip(np.rint(values.astype(np.float64) / np.float64(np.float32(found.scale))) + found.zero_point,
                     limits.min, limits.max)  # fmt: skip
    got = np.frombuffer(jvm(f"quantize {dtype}", values.astype("<f4").tobytes()), dtype)
    np.testing.assert_array_equal(got, wanted)
    assert len(np.unique(got)) > 250

    found = steps(steps_nets[dtype], "outputs")
    every = np.resize(np.arange(limits.min, limits.max + 1), 260).astype(dtype)  # 26 times 10 elements
    got = np.frombuffer(jvm(f"dequantize {dtype}", every.tobytes()), "<f4")
    np.testing.assert_array_equal(got, (every.astype(np.float32) - found.zero_point) * np.float32(found.scale))


def test_a_wrong_size_is_named(jvm: Jvm) -> None:
    error = "java.lang.IllegalArgumentException"
    said = f"{error}: image takes 3072 elements ([1, 3, 32, 32]), and was given 3"
    assert jvm("wrong input", b"").decode() == said
    assert jvm("wrong output", b"").decode() == f"{error}: logits has 10 elements ([1, 10]), and was given 11"


@pytest.mark.parametrize("scale", [0.0, 0.01, 0.05, 0.09, 0.11, 0.4, 0.6, 3.0])
def test_tolerances_are_those_of_validate(scale: float, jvm: Jvm) -> None:
    random = np.random.default_rng(1)
    truth = random.normal(size=(2, 64))
    actual = truth + scale * random.normal(size=truth.shape)
    truth[1, 5] = actual[1, 5] = np.nan
    errors = compare(list(actual), list(truth))
    data = np.concatenate([actual, truth]).astype("<f8").tobytes()
    assert (jvm("floor", data) == b"holds") == (errors.rms <= 0.5 and errors.max_abs <= 1.0)
    assert (jvm("sqnr", data) == b"holds") == (errors.quality_db >= 20.0)
    actual[1, 5] = 0.0
    data = np.concatenate([actual, truth]).astype("<f8").tobytes()
    assert b"NaN" in jvm("floor", data) and b"NaN" in jvm("sqnr", data)


@pytest.mark.parametrize(
    ("off", "loud", "said"), [(0, 9, ""), (4, 9, ""), (-4, 9, ""), (5, 9, "5.0 quanta"), (4, 1, "SQNR")]
)
def test_steps_of_a_scale_and_a_ratio(off: int, loud: float, said: str, jvm: Jvm) -> None:
    truth = loud * 0.25 * np.resize([1.0, -1.0], (2, 4))
    actual = truth.copy()
    actual[1, 2] += 0.25 * off
    got = jvm("quanta", np.concatenate([actual, truth]).astype("<f8").tobytes()).decode()
    assert got.startswith(said) if said else got == "holds"


@pytest.mark.parametrize(("wrong", "holds"), [(0, True), (64, True), (65, False)])
def test_a_share_of_equal_elements(wrong: int, holds: bool, jvm: Jvm) -> None:
    truth = np.arange(128).reshape(2, 64)
    actual = np.where(truth < wrong, -1, truth)
    assert (jvm("equal", np.concatenate([actual, truth]).astype("<f8").tobytes()) == b"holds") == holds


def test_latency_is_numpys(jvm: Jvm) -> None:
    times = np.random.default_rng(2).integers(1_000_000, 9_000_000, 23)
    median, p90, count = jvm("latency", times.astype("<i8").tobytes()).decode().split()
    np.testing.assert_allclose([float(median), float(p90)], np.quantile(times, [0.5, 0.9]) / 1e6, rtol=1e-12)
    assert count == "23"
