"""The command line. Thin: it turns flags into a `Config`, calls the pipeline, and shows results.

Nothing heavy is imported before a command runs: ``edgeworthy --help`` answers at once.
"""

from __future__ import annotations

import inspect
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import flags
from .console import Console

if TYPE_CHECKING:
    from ..config import Config

_RICH = sys.stdout.isatty()
app = typer.Typer(
    name="edgeworthy",
    help="Carry PyTorch models to ONNX, TensorFlow SavedModel and INT8 TFLite, and prove that they still compute "
    "the same thing.",
    no_args_is_help=True,
    rich_markup_mode="rich" if _RICH else None,  # plain help on a pipe, and no wait for rich
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.", rich_help_panel="General")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors and the exit code.", rich_help_panel="General")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.", rich_help_panel="General")]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Redo every stage.", rich_help_panel="General", show_default=False)
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="edgeworthy.toml; flags win over it.", metavar="TOML", rich_help_panel="General"
    ),
]
SourceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="SOURCE",
        help="model.onnx, model.pt2, TorchScript file, file.py:factory, pkg.module:factory, sample:NAME, "
        "hf:, timm:, torchvision: or lightning:, or an edgeworthy.toml that names one.",
        show_default=False,
    ),
]
OutFolder = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a run, or its report.json.")]

# -- the stages ---------------------------------------------------------------------------------------

_STAGES = {
    "run": (
        ("export", "convert", "quantize", "validate", "bench"),
        """All stages, then the report and the verdict.

        \b
        Examples:
          edgeworthy run sample:digits_cnn -o out
          edgeworthy run net.py:make -o out --weights net.safetensors --calibration images.npz
          edgeworthy run edgeworthy.toml
        """,
    ),
    "export": (
        ("export",),
        """PyTorch to ONNX.

        Writes OUT/model.onnx and runs it in ONNX Runtime against the module.

        \b
        Examples:
          edgeworthy export sample:digits_cnn -o out
          edgeworthy export net.py:make -o out --input 'image:float32[batch,3,224,224]'
        """,
    ),
    "convert": (
        ("convert",),
        """ONNX to TFLite and SavedModel, in float32.

        Writes the float TFLite file and OUT/saved_model. An .onnx source needs no PyTorch, --to tflite no
        TensorFlow.

        \b
        Examples:
          edgeworthy convert model.onnx -o out --to tflite
          edgeworthy convert net.py:make -o out --io-layout nhwc
        """,
    ),
    "quantize": (
        ("quantize",),
        """TFLite to int8, float16 and others.

        Writes OUT/model_SCHEME.tflite.

        \b
        Examples:
          edgeworthy quantize model.onnx -o out --scheme int8 --calibration data.npz
          edgeworthy quantize sample:digits_cnn -o out --scheme float16,int8 --io-dtype int8
        """,
    ),
    "validate": (
        ("export", "validate"),
        """Compare what every runtime computes.

        The same inputs go through PyTorch, ONNX Runtime, SavedModel and every TFLite file: what error has
        gathered, and which hop added it. With labelled data, accuracy too.

        \b
        Examples:
          edgeworthy validate sample:digits_cnn -o out
          edgeworthy validate net.py:make -o out --scheme float16 --labelled test.npz
        """,
    ),
    "bench": (
        ("export", "bench"),
        """Time every runtime and artifact.

        They take turns, each in a process of its own.

        \b
        Examples:
          edgeworthy bench sample:digits_cnn -o out --threads 1,2
          edgeworthy bench model.onnx -o out --target onnxruntime,tflite --seconds 5
        """,
    ),
}


def _add_stage_command(name: str, stages: tuple[str, ...], text: str) -> None:
    """A command whose flags are those of its stages."""
    table = flags.of_stages(stages)

    def command(**given: Any) -> None:
        with Console(as_json=given["as_json"], quiet=given["quiet"], debug=given["debug"]) as console:
            _run_stages(console, name, stages, table, given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    general: dict[str, tuple[Any, Any]] = {"as_json": (Json, False), "quiet": (Quiet, False), "debug": (Debug, False)}
    general |= {"no_cache": (NoCache, False), "config": (ConfigFile, None)}
    annotations = {"source": (SourceArgument, None)}
    annotations |= {flag.parameter: (flag.annotation(), None) for flag in table} | general
    command.__annotations__ = {key: annotation for key, (annotation, _) in annotations.items()}
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(k, keyword, default=d, annotation=a) for k, (a, d) in annotations.items()]
    )
    text = inspect.cleandoc(text)
    app.command(name, help=text.replace("[", r"\[") if _RICH else text, rich_help_panel="Stages")(command)


def _run_stages(
    console: Console, name: str, stages: tuple[str, ...], table: list[flags.Flag], given: dict[str, Any]
) -> None:
    from ..pipeline.run import run_config
    from . import views

    config = _config(given["source"], given["config"], flags.overrides(table, given))
    command = shlex.join(["edgeworthy", *sys.argv[1:]])
    with console.progress() as progress:
        report = run_config(config, stages=stages, reuse=not given["no_cache"], progress=progress, command=command)
    if console.as_json:
        console.json(report)
    else:
        views.report(console, report, config.output or Path(), whole=name == "run")
    raise SystemExit(views.exit_code(report, stages))


def _config(source: str | None, file: Path | None, overrides: dict[str, Any]) -> Config:
    from .. import config

    if source is not None and source.endswith(".toml"):
        file, source = Path(source), None
    given = overrides | {"model": overrides.get("model", {}) | {"source": source}}
    return config.load(file, given, flags={flag.key: flag.name for flag in flags.FLAGS})


for _name, (_stages, _text) in _STAGES.items():
    _add_stage_command(_name, _stages, _text)


# -- reports ------------------------------------------------------------------------------------------


@app.command(rich_help_panel="Reports")
def gate(
    out: OutFolder,
    config: ConfigFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Hold a report against limits.

    The limits are the table gate of --config, else of edgeworthy.toml in this folder, else those of the report's run.

    Exit code 0: it holds. 1: it doesn't, and the failing lines are named. 4: too noisy to say.

    \b
    Examples:
      edgeworthy gate out
      edgeworthy gate out --config ci/edgeworthy.toml --json
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        from .. import config as configuration
        from ..validate import gate as gates
        from ..validate import report as reports
        from . import views

        default = Path(configuration.FILE_NAME)
        file = config or (default if default.is_file() else None)
        report = reports.read(out)
        rules = report.gate.limits if file is None and report.gate else configuration.load(file).gate
        result = gates.evaluate(report, rules)
        reports.write(report.model_copy(update={"gate": result}), out if out.is_dir() else out.parent)
        if console.as_json:
            console.json(result)
        views.gate(console, result)
        raise SystemExit(result.exit_code)


@app.command("report", rich_help_panel="Reports")
def report_(
    out: Annotated[Path | None, typer.Argument(metavar="OUT", show_default=False)] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of report.json.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show a report, and write its pages again.

    \b
    Examples:
      edgeworthy report out
      edgeworthy report out --json | jq .parity.status
      edgeworthy report --schema > report.schema.json
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        from ..errors import BadInput
        from ..validate import report as reports
        from . import views

        if schema:
            console.text(reports.schema())
            return
        if out is None:
            raise BadInput("no folder was given", where="OUT", remedy="edgeworthy report OUT")
        report = reports.read(out)
        folder = out if out.is_dir() else out.parent
        reports.write(report, folder)
        if console.as_json:
            console.json(report)
        else:
            views.report(console, report, folder, whole=True)


# -- what there is ------------------------------------------------------------------------------------


@app.command("inspect", rich_help_panel="Look around")
def inspect_(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help=".onnx, .tflite or a SavedModel folder.")],
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """What is in a model file.

    Inputs, operators, sizes, transposes, and what would run it.

    \b
    Examples:
      edgeworthy inspect model.onnx
      edgeworthy inspect out/model_int8.tflite --json
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        from ..pipeline.inspection import inspect as look
        from . import views

        found = look(model)
        if console.as_json:
            console.json(found)
        views.inspection(console, found)


@app.command(rich_help_panel="Look around")
def samples(
    name: Annotated[str | None, typer.Argument(metavar="NAME", show_default=False)] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Write the sample's data here.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Models to try edgeworthy on.

    With NAME and -o: its data and an edgeworthy.toml to start from.

    \b
    Examples:
      edgeworthy samples
      edgeworthy samples digits_cnn -o digits && edgeworthy run digits/edgeworthy.toml
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        from ..errors import BadInput
        from ..samples import SAMPLES
        from . import views

        if name is not None and name not in SAMPLES:
            raise BadInput(
                f"there is no sample {name!r}", where="NAME", details=list(SAMPLES), remedy="use one of these"
            )
        if name is not None and output is not None:
            written = views.write_sample(SAMPLES[name], output)
            if console.as_json:
                console.json([str(path) for path in written])
            for path in written:
                console.say(str(path))
            return
        chosen = [s for s in SAMPLES.values() if name in (None, s.name)]
        if console.as_json:
            console.json([{"name": f"sample:{s.name}", "summary": s.summary} for s in chosen])
        console.table(("SOURCE", "what it is"), [(f"sample:{s.name}", s.summary) for s in chosen])


@app.command(rich_help_panel="Look around")
def targets(as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Where models can run here, and if not, why."""
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        from ..pipeline.diagnosis import target_states

        with console.progress() as progress:
            found = target_states(progress)
        if console.as_json:
            console.json([state.model_dump() for state in found])
        console.table(
            ("target", "what it is", "version", "available"),
            [(t.name, t.summary, t.version or "–", "✓ yes" if t.available else f"✗ {t.why}") for t in found],
        )


@app.command(rich_help_panel="Look around")
def doctor(as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """What is installed, and how to get the rest."""
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        from ..pipeline.diagnosis import diagnose
        from . import views

        with console.progress() as progress:
            found = diagnose(progress)
        if console.as_json:
            console.json(found)
        views.diagnosis(console, found)
        raise SystemExit(0 if found.healthy else 3)


def _version(show: bool) -> None:
    if show:
        import importlib.metadata

        typer.echo(f"edgeworthy {importlib.metadata.version('edgeworthy')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
