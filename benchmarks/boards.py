"""A board and a phone for the table of targets, made of this machine by helpers of the tests: Arm under QEMU."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgeworthy import kits
from edgeworthy.tests.targets.android.devices import Network, why_not
from edgeworthy.tests.targets.remote.boards import SSHD, arm_board, arm_python


@contextmanager
def started(folder: Path) -> Iterator[tuple[Mapping[str, str], Mapping[str, str]]]:
    """What a board is called in the table → the target, and why there is none of the others.

    ``ssh`` is Debian's arm64 userland behind an sshd on 127.0.0.1, ``android`` an adbd in namespaces of its own.
    """
    found, lacks = dict[str, str](), dict[str, str]()
    arm64 = kits.look(kits.KITS["arm64"])
    with ExitStack() as stack:
        if arm64.status != "ready":
            yield {}, dict.fromkeys(("ssh", "android"), "the kit arm64 isn't there: edgeworthy targets install arm64")
            return
        board = arm_board(folder / "arm") if Path(SSHD).exists() else None
        if board is None:
            lacks["ssh"] = "there is no sshd, or this kernel gives no user a table of binary formats of his own"
        else:
            found["ssh"] = stack.enter_context(board).target(python=arm_python())
        if why := why_not():
            lacks["android"] = why
        else:
            (folder / "network").mkdir()
            network = Network(folder / "network")
            stack.callback(network.close)
            network.execute_arm64(arm64.folder / "qemu/usr/bin/qemu-aarch64")
            os.environ["PATH"] = f"{network.adb.parent}{os.pathsep}{os.environ['PATH']}"
            device = stack.enter_context(network.device(6002, {"ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a"}))
            found["android"] = device.target
        yield found, lacks
