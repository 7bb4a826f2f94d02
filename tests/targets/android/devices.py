"""Real devices without a phone: Debian's adbd with Android's shell (mksh) and tools (toybox), in namespaces of its own.

adbd is an open root shell: it listens on the loopback of a namespace that holds nothing else, and never on a vsock.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from edgeworthy import kits
from edgeworthy.targets.android import adb

KIT = kits.look(kits.KITS["adb"])
ADB = adb.program()
ADBD = KIT.folder / "root/usr/lib/android-sdk/platform-tools/adbd"
SHELL, TOYBOX = KIT.folder / "root/bin/mksh", KIT.folder / "root/bin/toybox"

_START = Path(__file__).with_name("start_adbd.py")

PHONE = {
    "ro.product.cpu.abilist": "x86_64,arm64-v8a",
    "ro.build.version.release": "14",
    "ro.product.manufacturer": "Debian",
    "ro.product.model": "bookworm",
    "ro.board.platform": "adbd",
}
THERMAL = """IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 1
Thermal Status: {status}
Cached temperatures:
\tTemperature{{mValue=99.0, mType=0, mName=CPU0, mStatus=0}}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{{mValue=41.5, mType=0, mName=CPU0, mStatus=0}}
\tTemperature{{mValue=-99.9, mType=0, mName=CPU1, mStatus=0}}
\tTemperature{{mValue=33.2, mType=3, mName=SKIN, mStatus=0}}
Current cooling devices from HAL:
\tCoolingDevice{{mValue=0, mType=2, mName=TYPE_CPU}}
"""
BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  status: 2
  level: 81
  scale: 100
  temperature: 305
"""


def why_not() -> str | None:
    """Why there can't be a device here; None when there can."""
    if KIT.status != "ready":
        return "adb and adbd aren't there: edgeworthy targets install adb"
    tried = subprocess.run(["unshare", "--map-root-user", "--net", "--mount", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else f"no namespaces here: {tried.stderr.decode().strip()}"


class Network:
    """A namespace in which adb's client, its server and the devices see each other.

    Attributes:
        adb: A program adb that runs there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.phones = folder, []  # type: ignore[var-annotated]
        up = "ip link set lo up && echo up && exec sleep infinity"
        self._holder = subprocess.Popen(
            ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c", up], stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None and self._holder.stdout.readline() == b"up\n"
        self.inside = [
            shutil.which("nsenter") or "",
            "-t",
            str(self._holder.pid),
            "-U",
            "--preserve-credentials",
            "-n",
            "-m",
            "--",
        ]
        assert ADB is not None
        self.run("mount", "--bind", str(SHELL), "/bin/sh")
        (folder / "bin").mkdir()
        (folder / "home").mkdir()
        self.adb = folder / "bin" / "adb"
        home = f"HOME='{folder}/home' ANDROID_USER_HOME='{folder}/home'"
        self.adb.write_text(f'#!/bin/sh\nexport {home}\nexec {shlex.join([*self.inside, *ADB])} "$@"\n')
        self.adb.chmod(0o755)

    def run(self, *command: str) -> str:
        """What a command prints there, as the root of the namespace."""
        return subprocess.run([*self.inside, *command], check=True, capture_output=True, text=True).stdout

    def call(self, *arguments: str) -> str:
        """What adb prints."""
        ran = subprocess.run([self.adb, *arguments], check=False, capture_output=True, text=True, timeout=30)
        return ran.stdout + ran.stderr

    @contextmanager
    def device(self, port: int = 6001, properties: dict[str, str] | None = None) -> Iterator[Device]:
        phone = Device(self, port, {**PHONE, **(properties or {})})
        try:
            yield phone
        finally:
            phone.stop()
            self.call("disconnect", phone.serial)
            shutil.rmtree(phone.workdir, ignore_errors=True)

    def execute_arm64(self, qemu: Path) -> None:
        """Have the kernel run programs for arm64 by QEMU, for what lives in this namespace."""
        name, magic = (
            "/proc/sys/fs/binfmt_misc",
            r"\\x7fELF\\x02\\x01\\x01\\x00" + r"\\x00" * 8 + r"\\x02\\x00\\xb7\\x00",
        )
        mask = r"\\xff" * 7 + r"\\x00" + r"\\xff" * 8 + r"\\xfe\\xff\\xff\\xff"
        mount = f"mount -t binfmt_misc none {name}; printf ':arm64:M::{magic}:{mask}:{qemu}:F' > {name}/register"
        self.run("sh", "-c", mount)

    def processes(self, word: str) -> list[psutil.Process]:
        """What runs there with this word in its command line, be it of a device or adb's server."""
        mine, found = Path(f"/proc/{self._holder.pid}/ns/net").readlink(), []
        for process in psutil.process_iter(["cmdline"]):
            with contextlib.suppress(OSError, psutil.Error):
                if Path(f"/proc/{process.pid}/ns/net").readlink() == mine and word in process.info["cmdline"]:
                    found.append(process)
        return found

    def close(self) -> None:
        self.call("kill-server")
        self._holder.kill()
        self._holder.wait()


class Device:
    """A machine with adbd, and the commands of Android that edgeworthy asks."""

    def __init__(self, network: Network, port: int, properties: dict[str, str]) -> None:
        self._network, self.port, self.serial = network, port, f"localhost:{port}"
        self.folder = network.folder / str(port)
        self.workdir = self.folder / "local" / "tmp it's"
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("getprop", "dumpsys", "bin", "tools"):
            (self.folder / name).mkdir(parents=True)
        tools = subprocess.run([TOYBOX], capture_output=True, text=True, check=True).stdout.split()
        for name in tools:
            (self.folder / "tools" / name).symlink_to(TOYBOX)
        for name, value in properties.items():
            (self.folder / "getprop" / name).write_text(f"{value}\n")
        for name in ("getprop", "dumpsys"):
            self.command(name, f'cat "{self.folder}/{name}/$1" 2>/dev/null || echo')
        self.heat(0)
        (self.folder / "dumpsys" / "battery").write_text(BATTERY)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def target(self) -> str:
        return f"android:{self.serial},workdir={self.workdir}"

    def command(self, name: str, script: str) -> None:
        """A command of its shell that comes before the system's."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def heat(self, status: int) -> None:
        (self.folder / "dumpsys" / "thermalservice").write_text(THERMAL.format(status=status))

    def start(self) -> None:
        environment = {
            **kits.launch(kits.KITS["adb"]).environment,
            "PATH": f"{self.folder}/bin:{self.folder}/tools:/usr/sbin:/usr/bin:/sbin:/bin",
            "ADBD_PORT": str(self.port),
        }
        log = (self.folder / "adbd.log").open("ab")
        self.process = subprocess.Popen(
            [*self._network.inside, sys.executable, _START, str(ADBD)], env=environment, stdout=log, stderr=log
        )
        until = time.monotonic() + 20
        while "connected" not in self._network.call("connect", self.serial) or not self.ready():
            assert time.monotonic() < until and self.process.poll() is None, (self.folder / "adbd.log").read_text()
            time.sleep(0.1)

    def ready(self) -> bool:
        return f"{self.serial}\tdevice" in self._network.call("devices")

    def stop(self) -> None:
        """As when the cable is pulled out."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def left(self) -> set[str]:
        """Names in edgeworthy's folder there."""
        return {path.name for path in self.workdir.iterdir()} if self.workdir.exists() else set()
