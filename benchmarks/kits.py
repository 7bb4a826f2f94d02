"""Every kit of a target or of tests: what it fetches, how much, what is then on disk, and how long its set-up takes.

Each is installed into an empty folder, with nothing in the caches of pip and npm.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from edgeworthy import kits
from edgeworthy.benchmarks import figures
from edgeworthy.display import size
from edgeworthy.kits import Kit
from edgeworthy.kits.fetch import client, pip
from edgeworthy.kits.python import locked
from edgeworthy.validate.host import current

MARK = "kits"
COLUMNS = ("kit", "for", "what it is", "needs", "to fetch", "on disk", "set-up")
SHOWN = tuple(name for name, kit in kits.KITS.items() if not kit.routes)
"""Those of converters are on another page."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kits", nargs="*", default=SHOWN, metavar="KIT", help="these alone, in place of all")
    parser.add_argument(
        "--write", type=Path, metavar="FILE.md", help=f"put the table between its <!-- {MARK} --> marks"
    )
    options = parser.parse_args()
    table = figures.table(COLUMNS, [_measured(kits.KITS[name]) for name in options.kits])
    host = current()
    text = f"{table}\n\nMeasured on {date.today().isoformat()}: {host.logical_cores} cores, Python {host.python}.\n"
    print(text)
    if options.write:
        figures.put(text, options.write, MARK)
    return 0


def told(kit: Kit) -> tuple[str, ...]:
    """What is known of a kit before it is installed: its name, what it is for, what it is, and what it needs."""
    serves = ", ".join(f"`{name}`" for name in kit.targets) or "our tests"
    needs = [f"{machine.replace('_', '-')} host" for machine in kit.machines]
    needs += [f"Python before {kit.before}"] if kit.before else []
    needs += [f"your own {module}" for module in kit.borrows]
    return f"`{kit.name}`", serves, f"{kit.summary} ({kit.package} {kit.version})", ", ".join(needs) or "–"


def _measured(kit: Kit) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory() as folder:
        caches = {"PIP_CACHE_DIR": f"{folder}/pip", "npm_config_cache": f"{folder}/npm"}
        os.environ |= {"EDGEWORTHY_HOME": f"{folder}/home", **caches}
        begin = time.perf_counter()
        state = kits.install(kit)
        seconds = time.perf_counter() - begin
        return *told(kit), size(kit.size + _wheels(kit, Path(folder, "wheels"))), size(state.size), f"{seconds:.0f} s"


def _wheels(kit: Kit, folder: Path) -> int:
    """Bytes of the packages of its Python environment, out of pip's cache by now."""
    if not kit.requirements:
        return 0
    client(pip("download", "--dest", folder, *locked(kit)))
    return sum(path.stat().st_size for path in folder.iterdir())


if __name__ == "__main__":
    sys.exit(main())
