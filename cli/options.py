"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PANEL = "General"

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.", rich_help_panel=PANEL)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors and the exit code.", rich_help_panel=PANEL)]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.", rich_help_panel=PANEL)]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="A line on stderr for every stage, as for a CI log.", rich_help_panel=PANEL),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Redo every stage.", rich_help_panel=PANEL, show_default=False)
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Overwrite files that edgeworthy didn't make.", rich_help_panel=PANEL, show_default=False
    ),
]
ListSchemes = Annotated[
    bool,
    typer.Option(
        "--list", help="List the schemes: what each needs, its size, and who runs it fast.", rich_help_panel=PANEL
    ),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain",
        help="What every pass did and left alone, why each transpose is there, what operators became and why.",
        rich_help_panel="Convert",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="edgeworthy.toml; flags win over it.", metavar="TOML", rich_help_panel=PANEL),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Any key of edgeworthy.toml, as in gate.sqnr_db.int8=20; wins over the file. Repeat it.",
        metavar="KEY=VALUE",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
