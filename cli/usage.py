"""Usage errors of the command line's parser, told as all our errors are."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from ..errors import BadInput, did_you_mean
from .console import INTERRUPTED, print_error

_USAGE: Any = typer.BadParameter.__bases__[0]
"""Click's UsageError; newer versions of typer bring a click of their own."""


class WholeSummaries(TyperGroup):
    """A group whose help has each command's whole first sentence, in as many lines as it takes."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, one.get_short_help_str(sys.maxsize)) for name, one in found if one and not one.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class PlainErrors(WholeSummaries):
    """A group of commands whose usage errors look like ours, under ``--json`` too."""

    def main(self, *args: Any, **options: Any) -> Any:
        if not options.get("standalone_mode", True):
            return super().main(*args, **options)
        try:
            code = super().main(*args, **options | {"standalone_mode": False})
        except BadInput as error:
            _fail(error)
        except _USAGE as error:
            if type(error).__name__ != "NoArgsIsHelpError":  # whose message is the help
                _fail(_explained(error))
            error.show()
            code = BadInput.exit_code
        except typer.Abort:
            code = INTERRUPTED
        sys.exit(code if isinstance(code, int) else 0)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        raise BadInput(
            f"there is no command {args[0]!r}",
            where=ctx.command_path,
            details=list(self.commands),
            remedy=did_you_mean(args[0], self.commands) or "use one of these",
        )


def _explained(error: Any) -> BadInput:
    context = error.ctx
    path = context.command_path if context else "edgeworthy"
    remedy = f"`{path} --help` explains what it takes"
    if hasattr(error, "possibilities") and context:
        known = [option for p in context.command.params for option in (*p.opts, *p.secondary_opts)]
        what, remedy = f"there is no option {error.option_name}", did_you_mean(error.option_name, known) or remedy
    else:
        what = " ".join(error.format_message().split()).rstrip(".")
    return BadInput(what[:1].lower() + what[1:], where=path, remedy=remedy)


def _fail(error: BadInput) -> NoReturn:
    if "--json" in sys.argv:
        print(json.dumps(error.to_json(), indent=2, ensure_ascii=False))
    else:
        print_error(str(error))
    sys.exit(error.exit_code)
