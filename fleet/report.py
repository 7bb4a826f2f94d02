"""`fleet.json`, `fleet.md` and `fleet.html`: a row for every model file, a column for every device."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from .. import files
from ..display import milliseconds
from ..errors import BadInput
from ..validate.host import Host, current
from ..validate.record import Record
from ..validate.report import environment
from ..vocabulary import HARDWARE
from .plan import Device, FleetPlan
from .timing import TimingResult

JSON, MARKDOWN, HTML = "fleet.json", "fleet.md", "fleet.html"


class FleetReport(Record):
    """All of ``fleet.json``."""

    schema_version: Literal[1] = 1
    edgeworthy: str
    created: datetime
    finished: datetime | None = Field(default=None, description="None: the run was cut off")
    command: str = ""
    executor: str
    host: Host
    devices: list[Device]
    models: list[str]
    results: list[TimingResult] = Field(default_factory=list)
    failures: dict[str, str] = Field(default_factory=dict, description="model that could not be made → why")
    notes: list[str] = Field(default_factory=list)

    @classmethod
    def begun(
        cls, *, command: str, executor: str, plan: FleetPlan, failures: dict[str, str], notes: list[str]
    ) -> FleetReport:
        """The report of a run that begins now."""
        import importlib.metadata

        return cls(
            edgeworthy=importlib.metadata.version("edgeworthy"),
            created=datetime.now(UTC),
            command=command,
            executor=executor,
            host=current(),
            devices=plan.device,
            models=[model.name for model in plan.model],
            failures=failures,
            notes=notes,
        )

    @property
    def title(self) -> str:
        counts = ((len(self.models), "model"), (len(self.devices), "device"))
        return " on ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)

    @property
    def exit_code(self) -> int:
        """1: something failed; 3: nothing did, and something wasn't there."""
        found = {result.status for result in self.results}
        if self.failures or "fail" in found:
            return 1
        return 3 if "skipped" in found else 0

    @property
    def files(self) -> list[tuple[str, str]]:
        """(model, file) of every row."""
        return list(dict.fromkeys((result.model, result.file) for result in self.results))

    def cell(self, row: tuple[str, str], device: Device) -> str:
        """Medians by number of threads, how they were come by, or why there are none."""
        found = [r for r in self.results if (r.model, r.file) == row and r.device.name == device.name]
        if not found:
            return "–"
        result = found[0]
        if result.status != "pass":
            return "not there" if result.status == "skipped" else "failed"
        times = [milliseconds(r.p50_ms) + (f" × {r.threads} thr." if len(result.rows) > 1 else "") for r in result.rows]
        return ", ".join(times) + ("" if result.measured in HARDWARE else f" ({result.measured})")

    @property
    def troubles(self) -> list[str]:
        """What failed, or took more than one try, in a sentence each."""
        said = [f"{model}: {cause}" for model, cause in self.failures.items()]
        for result in self.results:
            where = f"{result.model}, {result.file} on {result.device.name}"
            tries = f" after {len(result.attempts)} tries" if len(result.attempts) > 1 else ""
            if result.status != "pass":
                said.append(f"{where}{tries}: {result.cause}")
            elif tries:
                said.append(f"{where}: passed{tries}; before: {result.attempts[-2].cause}")
        return said


Kept = TypeVar("Kept", bound=Record)


def earlier(output: Path, *, force: bool) -> FleetReport | None:
    """The report of the run before in this folder; raises as ``read_own``."""
    return read_own(FleetReport, output, (JSON, MARKDOWN, HTML), force=force)


def read_own(kind: type[Kept], output: Path, names: tuple[str, ...], *, force: bool) -> Kept | None:
    """What the first of these files holds, which a run writes together; None where there is none.

    Raises:
        BadInput: a file of a report's name is not edgeworthy's, and it isn't forced.
    """
    path = output / names[0]
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        foreign = [output / name for name in names[1:] if (output / name).exists()]
    except (ValidationError, OSError):
        foreign = [path]
    if foreign and not force:
        raise BadInput(
            "edgeworthy didn't make this file, and would overwrite it",
            where=str(foreign[0]),
            remedy="choose another folder, or add --force",
        )
    return None


def write_json(report: FleetReport, output: Path) -> None:
    """What is known so far."""
    files.write_text(output / JSON, report.model_dump_json(indent=2) + "\n")


def write(report: FleetReport, output: Path) -> None:
    """All forms of the report."""
    write_json(report, output)
    for name, autoescape in ((MARKDOWN, False), (HTML, True)):
        page = environment(Path(__file__).parent, autoescape=autoescape).get_template(f"{name}.jinja")
        files.write_text(output / name, page.render(r=report))
