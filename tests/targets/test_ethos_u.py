"""Ethos-U by the real Vela: its receipt, its estimate, and our rules against its own decisions."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import BadInput, CheckFailed, NotAvailable, RuntimeFailure
from edgeworthy.formats.tflite.operations import read
from edgeworthy.targets import environments, find
from edgeworthy.targets.ethos_u import EthosU, notes, read_summary, reasons
from edgeworthy.targets.rules import FOLDER, refused
from edgeworthy.targets.rules import find as rules_of
from edgeworthy.targets.rules.vela import _SECTIONS, written
from edgeworthy.targets.rules.vela import CONFIGURATIONS as NAMED
from edgeworthy.targets.worker import Worker

from . import chips

vela = pytest.mark.skipif(environments.version("ethos-u-vela", "ethos-u") is None, reason="Vela is not installed")
CONFIGURATIONS = [name for names in NAMED.values() for name in names]

SAID = """Warning: No memory mode specified. Using a default of Shared_Sram. Compilation may be invalid or non-optimal.

Warning (supported operators) operator: DEQUANTIZE, ofm: 'serving_default_output_float32'
Reason: Unsupported opType

Warning (supported operators) operator: QUANTIZE, ofm: 'it's here'
Reason: Operation has tensor with unsupported DataType Float32 (image_float32)
Feature-map dataTypes must be one of {"INT16", "INT32", "INT64", "INT8", "UINT8"}
"""
HEAD = (
    "accelerator_configuration,system_config,memory_mode,core_clock,inference_time,sram_memory_used,dram_memory_used,"
    "on_chip_flash_memory_used,off_chip_flash_memory_used,nn_macs,cycles_npu,cycles_total"
)


def test_what_vela_prints_is_read() -> None:
    assert reasons(SAID) == (
        "DEQUANTIZE serving_default_output_float32: Unsupported opType",
        "QUANTIZE it's here: Operation has tensor with unsupported DataType Float32 (image_float32)",
    )


def test_a_summary_of_another_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x_summary_y.csv"
    path.write_text(f"{HEAD}\nEthos_U55_128,Sys,Mode,5e8,0.0158,210.5,0,0,3000.25,1,900,1000.0\n")
    summary = read_summary(path)
    assert summary["inference_time"] == "0.0158"
    assert notes(summary) == (
        "Sys, Mode, 500 MHz",
        "1000 cycles, of which the NPU computes in 900; nodes on the CPU are not in it",
        "210.5 KiB SRAM, 3000.2 KiB off-chip flash",
    )
    for text in ("", HEAD, "inference_time\n1\n"):
        path.write_text(text)
        with pytest.raises(RuntimeFailure, match="summary lacks"):
            read_summary(path)


def test_it_is_for_integer_files_and_gives_no_outputs() -> None:
    target = find("ethos-u:65-256,memory_mode=Dedicated_Sram,optimise=size")
    assert target.takes_scheme("static_wi8_ai8")
    assert not target.takes_scheme("float16") and not target.takes_scheme("float32")
    assert (target.measured, target.computes) == ("estimated", False)
    assert EthosU(**target.options)._options == [
        "--accelerator-config=ethos-u65-256", "--optimise=Size", "--memory-mode=Dedicated_Sram",
    ]  # fmt: skip
    with pytest.raises(BadInput, match="optimise=fast: it is one of performance, size"):
        find("ethos-u,optimise=fast")


@pytest.fixture(scope="module")
def for_the_chip(tmp_path_factory: pytest.TempPathFactory) -> TFLiteModel:
    """All branches in the forms of ``--for ethos-u``."""
    return chips.int8(tmp_path_factory.mktemp("for_the_chip"), "Branches", targets=["ethos-u"])


@vela
@pytest.mark.device
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("file", ["branches", "for_the_chip"])
def test_our_rules_decide_as_vela_does(configuration: str, file: str, request: pytest.FixtureRequest) -> None:
    """On every node of all branches, in the forms for CPUs and in its own: just what stays on the CPU."""
    model: TFLiteModel = request.getfixturevalue(file)
    operations = read(model.path)
    receipt = EthosU(address=configuration).load(model).receipt
    ours = [str(refusal.operation) for refusal in refused(rules_of(f"ethos-u:{configuration}"), operations)]
    assert sorted(receipt.fallback) == sorted(ours)
    assert len(ours) > 25 and len(operations) > 110
    assert receipt.nodes == len(operations)
    assert receipt.delegated == len(operations) - len(ours)


@vela
@pytest.mark.device
def test_a_network_that_fits_is_all_on_the_npu(plain: TFLiteModel) -> None:
    with Worker("ethos-u:55-128,require_full_delegation=true", plain) as worker:
        times = worker.time({}, 3)
        receipt = worker.receipt
        assert worker.model_rss_bytes == worker.peak_rss_bytes > 0
        with pytest.raises(NotAvailable, match="the file is compiled for it, and not run"):
            worker.run({})
    assert (receipt.delegated, receipt.partitions, receipt.fallback) == (receipt.nodes, 1, ())
    assert receipt.asked == "Ethos-U55-128"
    assert len(set(times)) == 1 and times[0] > 0
    with Worker("ethos-u:85-2048", plain) as worker:
        assert worker.time({}, 1) != times[:1]


@vela
@pytest.mark.device
def test_a_node_that_stays_is_named_and_fails_full_delegation(for_the_chip: TFLiteModel) -> None:
    with (
        Worker("ethos-u:55-128,require_full_delegation=true", for_the_chip) as worker,
        pytest.raises(CheckFailed, match="Ethos-U55-128 was asked for, and took") as failed,
    ):
        worker.time({}, 1)
    assert "LOG_SOFTMAX serving_default_log_softmax_output" in failed.value.details


@vela
@pytest.mark.device
def test_a_number_without_axes_is_refused_with_the_whole_file(tmp_path: Path) -> None:
    model = chips.int8(tmp_path, "Number")
    ours = refused(rules_of("ethos-u"), read(model.path))
    assert [refusal.remedy for refusal in ours if "no file with such a one" in refusal.reason]
    with pytest.raises(RuntimeFailure, match="Failed to parse TFLite file") as error, Worker("ethos-u", model):
        pass
    assert any("Constant" in line for line in error.value.details)


@vela
@pytest.mark.device
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("ethos-u:55-128,memory_mode=Nowhere", "Memory_Mode.Nowhere not found"),
        ("ethos-u:55-128,system_config=Nowhere", "Nowhere"),
    ],
)
def test_a_configuration_that_vela_does_not_know(target: str, said: str, plain: TFLiteModel) -> None:
    with pytest.raises(BadInput, match=said), Worker(target, plain):
        pass


@vela
@pytest.mark.device
def test_the_configurations_are_those_that_vela_knows() -> None:
    python = environments.python("ethos-u-vela", "ethos-u")
    said = subprocess.run([python, "-m", "ethosu.vela", "--help"], check=True, capture_output=True, text=True).stdout
    known = re.search(r"--accelerator-config\s+\{([^}]*)\}", said)
    assert known is not None
    assert [f"ethos-u{name}" for name in CONFIGURATIONS] == known[1].split(",")


@vela
@pytest.mark.device
def test_the_rules_are_what_vela_says_of_itself(tmp_path: Path) -> None:
    """A new version of Vela shows here; ``python -m edgeworthy.targets.rules.vela`` writes the files anew."""
    python = environments.python("ethos-u-vela", "ethos-u")
    subprocess.run(
        [python, "-m", "ethosu.vela", "--supported-ops-report"], cwd=tmp_path, check=True, capture_output=True
    )
    report = (tmp_path / "SUPPORTED_OPS.md").read_text(encoding="utf-8")
    for name, section in _SECTIONS.items():
        assert written(report, section, rules_of(name).source.date) == (FOLDER / f"{name}.toml").read_text(
            encoding="utf-8"
        )
