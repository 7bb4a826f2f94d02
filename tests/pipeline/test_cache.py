"""OUT as a workspace: what is taken over, what is redone, what is taken back, and who may come in."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel

from edgeworthy import files
from edgeworthy.convert.routes import CONVERTERS
from edgeworthy.errors import BadInput, CheckFailed
from edgeworthy.pipeline import fingerprint
from edgeworthy.pipeline.cache import Done, Workspace
from edgeworthy.pipeline.state import FOLDER as STATE
from edgeworthy.pipeline.state import StageRecord, State, alive


class Value(BaseModel):
    text: str


class Counter:
    """A stage that writes a file and counts how often it ran."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs = 0

    def __call__(self) -> Value:
        self.runs += 1
        self.path.write_text("made")
        return Value(text=f"run {self.runs}")


def stage(workspace: Workspace, make: Counter, depends: str = "a") -> Done[Value]:
    return workspace.stage("make", Value, {"input": depends}, make, outputs=[make.path])


def test_a_stage_is_taken_over_when_nothing_changed(tmp_path: Path) -> None:
    make = Counter(tmp_path / "file")
    for cached in (False, True):
        with Workspace(tmp_path) as workspace:
            done = stage(workspace, make)
        assert (done.cached, done.result) == (cached, Value(text="run 1"))
    assert make.runs == 1


def test_a_result_that_is_not_final_is_kept_but_not_taken_over(tmp_path: Path) -> None:
    make = Counter(tmp_path / "file")

    def again(workspace: Workspace) -> Done[Value]:
        outputs = [make.path]
        return workspace.stage("make", Value, {}, make, outputs=outputs, final=lambda value: value.text != "run 1")

    for run, cached in ((1, False), (2, False), (2, True)):
        with Workspace(tmp_path) as workspace:
            done = again(workspace)
            latest = workspace.latest("make", Value, {})
        assert (done.cached, done.result) == (cached, Value(text=f"run {run}"))
        assert latest is not None and latest.result == done.result


@pytest.mark.parametrize("change", ["input", "contents", "deleted", "record", "code", "no reuse"])
def test_a_stage_is_redone_when_something_changed(tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Counter(tmp_path / "file")
    with Workspace(tmp_path) as workspace:
        stage(workspace, make)
    if change == "contents":
        make.path.write_text("tampered")
    elif change == "deleted":
        make.path.unlink()
    elif change == "record":
        (tmp_path / STATE / "make.json").write_text("{ cut off")
    elif change == "code":
        monkeypatch.setattr(fingerprint, "of_code", lambda: "other")
    with Workspace(tmp_path, reuse=change != "no reuse") as workspace:
        done = stage(workspace, make, "b" if change == "input" else "a")
    assert (done.cached, make.runs, make.path.read_text()) == (False, 2, "made")


def test_bad_input_takes_back_what_was_made_and_the_folder(tmp_path: Path) -> None:
    output = tmp_path / "new" / "out"
    with pytest.raises(BadInput), Workspace(output) as workspace:
        stage(workspace, Counter(output / "file"))
        raise BadInput("no")
    assert not output.parent.exists()


def test_bad_input_leaves_what_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    kept = Counter(tmp_path / "file")
    with Workspace(tmp_path) as workspace:
        stage(workspace, kept)
    with pytest.raises(BadInput), Workspace(tmp_path) as workspace:
        workspace.stage("more", Value, {}, Counter(tmp_path / "other"), outputs=[tmp_path / "other"])
        raise BadInput("no")
    assert sorted(p.name for p in tmp_path.iterdir()) == [STATE, "file", "mine"]


def test_bad_input_brings_back_what_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with Workspace(tmp_path) as workspace:
        stage(workspace, Counter(path))
    before = (tmp_path / STATE / "make.json").read_text()

    def replace() -> Value:
        files.write_text(path, "other")
        return Value(text="")

    with pytest.raises(BadInput), Workspace(tmp_path) as workspace:
        workspace.stage("make", Value, {}, replace, outputs=[path])
        assert path.read_text() == "other"
        raise BadInput("no")
    assert path.read_text() == "made"
    assert (tmp_path / STATE / "make.json").read_text() == before
    assert sorted(p.name for p in (tmp_path / STATE).iterdir()) == ["lock", "make.json"]


def test_a_check_that_fails_leaves_the_way_back_of_other_files(tmp_path: Path) -> None:
    """Two files of one name, of which the second is written after another stage was taken back."""
    (tmp_path / "below").mkdir()
    paths = [tmp_path / "one", tmp_path / "file", tmp_path / "below" / "file"]
    for path in paths:
        path.write_text("the user's")

    def refuse() -> Value:
        files.write_text(paths[0], "other")
        raise CheckFailed("no")

    with pytest.raises(BadInput), Workspace(tmp_path) as workspace:
        workspace.makes(tmp_path / "none")
        workspace.makes(paths[0], paths[1])
        files.write_text(paths[1], "other")
        with pytest.raises(CheckFailed):
            workspace.stage("make", Value, {}, refuse, outputs=[paths[0]])
        workspace.makes(paths[2])
        files.write_text(paths[2], "other")
        raise BadInput("no")
    assert {path.read_text() for path in paths} == {"the user's"}


@pytest.mark.parametrize("error", [BadInput, CheckFailed])
def test_a_folder_that_was_replaced_is_brought_back(tmp_path: Path, error: type[BadInput | CheckFailed]) -> None:
    folder = tmp_path / "saved_model"

    def write(text: str) -> None:
        with files.atomic_directory(folder) as part:
            (part / "variables").mkdir()
            (part / "variables" / "data").write_text(text)

    def refuse() -> Value:
        write("other")
        raise error("no")

    write("the user's")
    with pytest.raises(error), Workspace(tmp_path) as workspace:
        workspace.stage("make", Value, {}, refuse, outputs=[folder])
    assert (folder / "variables" / "data").read_text() == "the user's"
    assert not list(tmp_path.rglob("*.part"))


def test_what_is_kept_stays(tmp_path: Path) -> None:
    with pytest.raises(BadInput), Workspace(tmp_path) as workspace:
        stage(workspace, Counter(tmp_path / "file"))
        workspace.keep()
        raise BadInput("no")
    assert (tmp_path / "file").exists()


@pytest.mark.parametrize("error", [CheckFailed("no"), KeyboardInterrupt(), RuntimeError("no")])
def test_other_ends_leave_whole_stages(tmp_path: Path, error: BaseException) -> None:
    make = Counter(tmp_path / "file")
    with pytest.raises(type(error)), Workspace(tmp_path) as workspace:
        stage(workspace, make)
        raise error
    with Workspace(tmp_path) as workspace:
        assert stage(workspace, make).cached


def test_leftovers_of_a_killed_run_are_swept_away(tmp_path: Path) -> None:
    (tmp_path / STATE).mkdir()
    (tmp_path / ".model.onnx.abc.part").touch()
    (tmp_path / ".saved_model.abc.part").mkdir()
    (tmp_path / ".saved_model.abc.part.old").mkdir()
    (tmp_path / STATE / ".export.json.abc.part").touch()
    (tmp_path / "part.part").touch()
    with Workspace(tmp_path):
        assert sorted(p.name for p in tmp_path.iterdir()) == [STATE, "part.part"]
        assert [p.name for p in (tmp_path / STATE).iterdir()] == ["lock"]


def test_two_runs_at_a_time_are_refused_and_a_dead_one_is_not(tmp_path: Path) -> None:
    code = "import sys, pathlib, time\nfrom edgeworthy.pipeline.cache import Workspace\n"
    code += "Workspace(pathlib.Path(sys.argv[1])).__enter__()\nprint('in', flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "in\n"
        with pytest.raises(BadInput, match="another run"), Workspace(tmp_path):
            pass
        other.kill()
    with Workspace(tmp_path):
        pass


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="can't use this"), Workspace(tmp_path / "file" / "out"):
        pass
    with pytest.raises(BadInput, match="can't use this"), Workspace(tmp_path / "file"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match="can't use this"), Workspace(tmp_path / "out"):
        pass


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("x: No space left on device")])
def test_a_full_disk_is_said_whoever_finds_it(tmp_path: Path, error: Exception) -> None:
    def make() -> Value:
        raise error

    with pytest.raises(BadInput, match="disk is full"), Workspace(tmp_path / "out") as workspace:
        workspace.stage("make", Value, {}, make)
    assert not (tmp_path / "out").exists()


def test_latest_is_of_the_same_artifacts_only(tmp_path: Path) -> None:
    with Workspace(tmp_path) as workspace:
        workspace.stage("measure", Value, {}, lambda: Value(text="fast"), about={"onnx": "1"})
        found = workspace.latest("measure", Value, {"onnx": "1"})
        assert found
        assert found.result == Value(text="fast")
        assert workspace.latest("measure", Value, {"onnx": "2"}) is None
        assert workspace.latest("never", Value, {"onnx": "1"}) is None


# -- whose files they are ----------------------------------------------------------------------------------


def test_only_what_we_made_and_nobody_changed_is_ours(tmp_path: Path) -> None:
    make = Counter(tmp_path / "file")
    (tmp_path / "mine").write_text("the user's")
    with Workspace(tmp_path) as workspace:
        stage(workspace, make)
    state = State(tmp_path)
    assert state.is_ours(make.path)
    assert not state.is_ours(tmp_path / "mine")
    make.path.write_text("changed")
    assert not state.is_ours(make.path)
    with pytest.raises(BadInput) as caught, Workspace(tmp_path) as workspace:
        workspace.claim([make.path, tmp_path / "mine", tmp_path / "absent"])
    assert caught.value.details == (str(make.path), str(tmp_path / "mine"))
    with Workspace(tmp_path) as workspace:
        workspace.claim([make.path, tmp_path / "mine"], force=True)


def test_what_a_killed_process_had_begun_is_ours(tmp_path: Path) -> None:
    """It dies between the file and its record; after an error that is taken back, what comes there is the user's."""
    code = "import os, sys; from pathlib import Path; from edgeworthy.pipeline.cache import Workspace\n"
    code += "def make():\n  out.write_text('half'); os._exit(9)\n"
    code += "out = Path(sys.argv[1]) / 'file'\n"
    code += "with Workspace(out.parent) as w: w.stage('make', str, {}, make, outputs=[out])"
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == 9
    with Workspace(tmp_path) as workspace:
        workspace.claim([tmp_path / "file"])
        assert stage(workspace, Counter(tmp_path / "file")).result == Value(text="run 1")
    assert State(tmp_path).unfinished() == set()

    def refuse() -> Value:
        raise BadInput("no")

    with pytest.raises(BadInput), Workspace(tmp_path) as workspace:
        workspace.stage("more", Value, {}, refuse, outputs=[tmp_path / "more"])
    (tmp_path / "more").touch()
    assert not State(tmp_path).is_ours(tmp_path / "more")


def test_what_is_read_is_neither_overwritten_nor_removed_nor_claimed(tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_text("made")
    with pytest.raises(BadInput, match="overwrite what it reads"), Workspace(tmp_path, inputs=[source]) as workspace:
        workspace.claim([source], force=True)
    with Workspace(tmp_path, inputs=[source]) as workspace:
        stage(workspace, Counter(source))
    assert not State(tmp_path).is_ours(source)
    with Workspace(tmp_path) as workspace:
        workspace.leave_only_vouched("other", whole=True)
    assert source.exists()


def test_a_record_is_alive_while_its_origins_are() -> None:
    records = {
        "export": StageRecord(files={"a": "1"}, origins={"source": "s"}),
        "convert": StageRecord(files={"b": "2"}, origins={"source": "s", "a": "1"}),
        "quantize": StageRecord(files={"c": "3"}, origins={"source": "s", "b": "2"}),
        "measure": StageRecord(),
    }
    assert alive(records, {"source": "s"}) == {"export", "convert", "quantize"}
    assert alive(records, {"source": "t"}) == set()
    changed = records | {"export": StageRecord(files={"a": "9"}, origins={"source": "s"})}
    assert alive(changed, {"source": "s"}) == {"export"}
    del changed["export"]
    assert alive(changed, {"source": "s", "a": "1"}) == {"convert", "quantize"}


def test_the_tables_are_code_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lowering reads of ``forms.toml`` decides what is in a file, as a function does."""
    monkeypatch.setattr(fingerprint, "__file__", str(tmp_path / "pipeline" / "fingerprint.py"))
    for folder in ("pipeline", "convert"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    before = fingerprint.of_code.__wrapped__()
    (tmp_path / "convert/forms.toml").write_text("[devices]")
    assert fingerprint.of_code.__wrapped__() != before


def test_a_kits_converter_depends_on_its_kit_and_its_script_and_not_on_our_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "there.py"
    script.write_text("def convert(model, folder): ...")
    theirs, ours = replace(CONVERTERS["onnx2tf"], convert=f"{script}:convert"), CONVERTERS["direct"]
    depends = {"code": fingerprint.of_converter(theirs)}
    before = fingerprint.of_converter(ours), fingerprint.of_stage("route", depends), fingerprint.of_stage("route", {})
    of_code = fingerprint.of_code
    monkeypatch.setattr(fingerprint, "of_code", lambda *parts: of_code(*parts) if parts else "other")
    after = fingerprint.of_converter(ours), fingerprint.of_stage("route", depends), fingerprint.of_stage("route", {})
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True, False]
    assert fingerprint.of_converter(theirs) == depends["code"]
    assert fingerprint.of_converter(replace(theirs, kit="onnx-tf")) != depends["code"]
    script.write_text("def convert(model, folder): return model")
    assert fingerprint.of_converter(theirs) != depends["code"]
