"""The command line. Thin: it turns flags into a `Config`, calls the pipeline, and shows results.

Nothing heavy is imported before a command runs: ``edgeworthy --help`` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from . import commands, routes, targets
from .console import Console
from .options import ConfigFile, Debug, Force, Json, Quiet
from .terminal import is_styled, width_of

_RICH = is_styled(sys.stdout) and (width_of(sys.stdout) or 0) >= 80
"""Whether help has colours and boxes; else it is plain, and there is no wait for rich."""
app = typer.Typer(
    name="edgeworthy",
    cls=commands.CommandGroup,
    help="Carry PyTorch models to ONNX, TensorFlow SavedModel and INT8 TFLite, and prove that they still compute "
    "the same thing.",
    no_args_is_help=True,
    rich_markup_mode="rich" if _RICH else None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

OutFolder = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a run, or its report.json.")]

for _name, (_panel, _help) in commands.HELP.items():
    _text = _help.replace("[", r"\[") if _RICH else _help
    app.command(_name, help=_text, rich_help_panel=_panel)(commands.hollow)


# -- reports ------------------------------------------------------------------------------------------


@app.command(rich_help_panel="Reports")
def gate(
    out: OutFolder,
    config: ConfigFile = None,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="REPORT", help="Report that gate.regression is held against."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the result: .json, or .xml for JUnit.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Hold a report against limits.

    The limits are the table gate of --config, else those that the run itself was given. The files must still be those
    that were measured. The report keeps the run's own limits and verdict, whatever comes out here.

    Exit code 0: it holds. 1: it doesn't, and the failing lines are named. 4: it can't be said.

    \b
    Examples:
      edgeworthy gate out
      edgeworthy gate out --config ci/edgeworthy.toml -o gate.xml
      edgeworthy gate out --config ci/edgeworthy.toml --baseline main/report.json --json
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        from ..pipeline import verbs
        from ..validate import report as reports
        from . import views

        report = reports.read(out)
        if output is not None:
            reports.check_gate_file(output, out if out.is_dir() else out.parent)
        result = verbs.gate(out, config=config, baseline=baseline)
        if output is not None:
            reports.write_gate(result, report.model.spec, output)
        if console.as_json:
            console.json(result)
        views.gate(console, result)
        console.say(f"Limits: {result.origin}")
        if report.gate and report.gate.status != result.status:
            console.say(f"The run's own verdict stays: {report.gate.status}")
        raise SystemExit(result.exit_code)


@app.command("report", rich_help_panel="Reports")
def report_(
    out: Annotated[Path | None, typer.Argument(metavar="OUT", show_default=False)] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of report.json.")] = False,
    force: Force = False,
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
        from ..pipeline import pages
        from ..validate import report as reports
        from . import views

        if schema:
            console.text(reports.schema())
            return
        if out is None:
            raise BadInput("no folder was given", where="OUT", remedy="edgeworthy report OUT")
        report = reports.read(out)
        folder = out if out.is_dir() else out.parent
        pages.rewrite(report, folder, force=force)
        if console.as_json:
            console.json(report)
        else:
            views.report(console, report, folder, whole=True)


@app.command(rich_help_panel="Reports")
def summary(
    out: OutFolder,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="OUT", help="An earlier report, to show what changed.", show_default=False),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """A report in short, as Markdown for a pull request.

    \b
    Examples:
      edgeworthy summary out >> "$GITHUB_STEP_SUMMARY"
      edgeworthy summary out --baseline main/report.json
      edgeworthy summary out --json | jq .open
    """
    with Console(as_json=as_json, debug=debug) as console:
        from ..validate import report as reports

        report, earlier = reports.read(out), reports.read(baseline) if baseline else None
        if console.as_json:
            console.json(reports.summary_record(report, earlier))
        else:
            console.text(reports.summary(report, earlier))


# -- what there is ------------------------------------------------------------------------------------


@app.command("inspect", rich_help_panel="Look around")
def inspect_(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help=".onnx, .tflite or a SavedModel folder.")],
    for_: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="TARGET", help="What it would refuse, and what to write instead; repeat it."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """What is in a model file.

    Inputs, operators, sizes, transposes, and what would run it. With --for, what a target would refuse of it, and of
    a float model once it is quantized, where the target computes integers.

    Exit code 1: it is an ONNX file with nodes that can't be converted, or a target that --for names would refuse some.
    They are listed.

    \b
    Examples:
      edgeworthy inspect model.onnx --for ethos-u:55-128 --for android-gpu
      edgeworthy inspect out/model_int8.tflite --json
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        from ..pipeline.inspection import inspect as look
        from ..targets import listed
        from . import views

        found = look(model, targets=listed(for_) if for_ else ())
        if console.as_json:
            console.json(found)
        views.inspection(console, found)
        raise SystemExit(1 if found.unsupported or any(found.refused.values()) else 0)


@app.command("export-android", rich_help_panel="Ship")
def export_android_(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .tflite file of static shapes.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The app's folder of assets.")],
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="TXT", help="One label a line, as many as an output has elements."),
    ] = None,
    package: Annotated[str, typer.Option("--package", help="Of the Kotlin class.")] = "com.example.model",
    kotlin: Annotated[
        Path | None,
        typer.Option(
            "--kotlin", metavar="DIR", help="Folder of Kotlin sources; default: kotlin or java beside the assets."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the folder in the assets and the class; default: the file's.")
    ] = None,
    inputs: Annotated[
        Path | None, typer.Option("--inputs", metavar="NPZ", help="A value for each input; default: random ones.")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", help="How many inputs to record.")] = 3,
    seed: Annotated[int, typer.Option("--seed", help="Of inputs that are drawn.")] = 0,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Assets and a typed Kotlin class for an Android app.

    DIR/NAME gets the model, its labels, and vectors to compare a phone with: inputs, and what LiteRT computes here. The
    class has one function for each signature of the model, and falls back from GPU to CPU.

    Exit code 1: the model is off its own tolerance on this machine already.

    \b
    Examples:
      edgeworthy export-android out/model_int8.tflite -o app/src/main/assets
      edgeworthy export-android model.tflite -o app/src/main/assets --labels labels.txt --package com.example.digits
    """
    with Console(as_json=as_json, quiet=quiet, debug=debug) as console:
        from ..android.export import export_android
        from . import views

        made = export_android(
            model,
            output,
            labels=labels,
            package=package,
            kotlin=kotlin,
            name=name,
            inputs=inputs,
            samples=samples,
            seed=seed,
            force=force,
        )
        if console.as_json:
            console.json(made)
        views.android(console, made)


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


app.add_typer(targets.group, name="targets", rich_help_panel="Look around")
app.add_typer(routes.group, name="routes", rich_help_panel="Look around")


@app.command(rich_help_panel="Look around")
def doctor(as_json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """What is installed, and how to get the rest.

    \b
    Examples:
      edgeworthy doctor
      edgeworthy doctor --json
    """
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
