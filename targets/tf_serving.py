"""SavedModels behind TensorFlow Serving: its server started for the model, or one that runs already."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..artifact import Artifact, Feeds, Receipt
from ..errors import BadInput, NotAvailable, RuntimeFailure
from ..formats.saved_model import argument_names
from ..vocabulary import SIGNATURE
from ..workers.native import Caught, caught
from ..workers.processes import memory
from .info import Setting, TargetInfo, one_of
from .serving_clients import Client, Grpc, Rest
from .session import ANOTHER_FILE, LoadedModel, check_kind, checked
from .tensorflow import INSTALL, import_tensorflow

if TYPE_CHECKING:
    from ..artifact import Array

_PROGRAM = "tensorflow_model_server"
_CONTAINER = "docker run -p {}:{} -v $(realpath OUT/saved_model):/models/model/1 tensorflow/serving"
_PORTS = {"grpc": 8500, "rest": 8501}
"""Where the container's server listens."""

_REMEDY = (
    f"install {_PROGRAM} (https://www.tensorflow.org/tfx/serving/setup) or give binary=PATH; or run its container, "
    f"{_CONTAINER.format(8500, 8500)}, and use tf-serving:localhost:8500"
)
_BY_HAND = (
    "see what it says when it is started by hand, --port=8500 --model_name=model --model_base_path=/FOLDER, with the "
    "SavedModel in /FOLDER/1; once it serves, use tf-serving:localhost:8500"
)
_LOAD_S = 300.0
"""Time that the server may take to load a model."""

_ANSWER_S = 30.0

_TAIL = 8
"""Lines of its log that an error shows."""


class TFServing:
    """TensorFlow Serving's predict API.

    Args:
        address: ``HOST:PORT`` of a server that runs; empty to start one for the model.
        protocol: The API; the address is that API's.
        binary: The server's program; default: ``tensorflow_model_server`` on the path.
        model: The name that the model is served by.
    """

    kind = "saved_model"
    name = "tf-serving"

    def __init__(
        self, *, address: str = "", protocol: Literal["grpc", "rest"] = "grpc", binary: str = "", model: str = "model"
    ) -> None:
        self.address = address
        self.protocol = protocol
        self.binary = binary
        self.model = model

    def version(self) -> str:
        """What the server's program says of itself, or where the server is.

        Raises:
            NotAvailable: there is no program, or nobody listens at the address.
        """
        if not self.address:
            return (self._said("--version").splitlines() or ["unknown"])[0]
        try:
            socket.create_connection(_host_and_port(self.address), timeout=5).close()
        except OSError as error:
            start = _CONTAINER.format(_host_and_port(self.address)[1], _PORTS[self.protocol])
            remedy = f"start the server there ({start}), or give the address of its {self.protocol} API"
            raise NotAvailable(f"nobody listens at {self.address}: {error}", remedy=remedy) from error
        return f"at {self.address}"

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Start a server on the SavedModel in a versioned folder, or connect to the one that runs.

        Raises:
            RuntimeFailure: the server ends, or can't load the model.
        """
        check_kind(artifact, self.kind, self.name)
        arguments = _arguments(artifact)
        if self.address:
            client = self._client(artifact, self.address)
            if state := client.state():
                raise NotAvailable(f"the model {self.model} at {self.address} is {state}", remedy="try again later")
            return _Session(artifact, client, arguments, f"{self.protocol} at {self.address}", None)
        ports = {"grpc": _free_port(), "rest": _free_port()}
        with (
            caught() as said,
            tempfile.TemporaryDirectory() as folder,
        ):  # gone once it is loaded: the server looks for versions once
            base = _versioned(artifact.path, Path(folder) / self.model)
            process = subprocess.Popen(
                [
                    self._program(),
                    f"--port={ports['grpc']}",
                    f"--rest_api_port={ports['rest']}",
                    f"--model_name={self.model}",
                    f"--model_base_path={base}",
                    "--file_system_poll_wait_seconds=0",
                    f"--tensorflow_intra_op_parallelism={threads}",
                    "--tensorflow_inter_op_parallelism=1",
                ],
                stdin=subprocess.DEVNULL,
            )
            try:
                client = self._client(artifact, f"127.0.0.1:{ports[self.protocol]}")
                self._wait(client, process, said)
            except BaseException:
                _stop(process)
                raise
        return _Session(artifact, client, arguments, f"{self.protocol} of {self._program()}", process)

    def _client(self, artifact: Artifact, address: str) -> Client:
        if self.protocol == "rest":
            return Rest(address, self.model, artifact.outputs)
        return Grpc(address, self.model)

    def _wait(self, client: Client, process: subprocess.Popen[bytes], said: Caught) -> None:
        until = time.monotonic() + _LOAD_S
        while time.monotonic() < until:
            if process.poll() is not None:
                raise RuntimeFailure(
                    f"{self._program()} ended with {process.returncode} while it loaded the model",
                    details=said.lines[-_TAIL:],
                    remedy=_BY_HAND,
                )
            try:
                if not client.state():
                    return
            except (NotAvailable, BadInput):  # it doesn't listen yet, or knows of no model yet
                pass
            time.sleep(0.1)
        raise RuntimeFailure(
            f"{self._program()} did not load the model within {_LOAD_S:g} s",
            details=said.lines[-_TAIL:],
            remedy=f"give the machine less to do; or {_BY_HAND}",
        )

    def _said(self, argument: str) -> str:
        command = [self._program(), argument]
        try:
            ran = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ANSWER_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotAvailable(f"{command[0]} doesn't answer: {error}", remedy=_REMEDY) from error
        return ran.stdout

    def _program(self) -> str:
        if found := shutil.which(self.binary or _PROGRAM):
            return found
        raise NotAvailable(f"there is no program {self.binary or _PROGRAM}", remedy=_REMEDY)


class _Session(LoadedModel):
    def __init__(
        self,
        artifact: Artifact,
        client: Client,
        arguments: dict[str, str],
        place: str,
        process: subprocess.Popen[bytes] | None,
    ) -> None:
        self._artifact = artifact
        self._client = client
        self._arguments = arguments
        self._place = place
        self._process = process
        if process is not None:
            weakref.finalize(self, _stop, process)

    @property
    def receipt(self) -> Receipt:
        notes = ["times are a client's: with encoding, the connection and decoding"]
        notes.append("memory is the server's" if self._process else "memory is the client's")
        return Receipt(asked="TensorFlow Serving", ran=self._place, notes=tuple(notes))

    def run(self, feeds: Feeds) -> dict[str, Array]:
        outputs = self._client.predict(self._arrays(feeds))
        if missing := [o.name for o in self._artifact.outputs if o.name not in outputs]:
            raise BadInput(
                f"the served model gave no {missing}; it gave {list(outputs)}",
                where=self._place,
                remedy="have it serve this very file, or name the model that it is: tf-serving,model=NAME",
            )
        return {o.name: outputs[o.name] for o in self._artifact.outputs}

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        arrays = self._arrays(feeds)
        return lambda: self._client.predict(arrays)

    def memory(self) -> tuple[int, int] | None:
        return (memory("VmHWM", self._process.pid), 0) if self._process else None

    def _arrays(self, feeds: Feeds) -> dict[str, Array]:
        inputs = checked(feeds, self._artifact.inputs, where=str(self._artifact.path))
        return {self._arguments[name]: array for name, array in inputs.items()}


def _arguments(artifact: Artifact) -> dict[str, str]:
    """Input → its name in the signature, which is read and not loaded.

    Raises:
        BadInput: there is no ``serving_default``, or it lacks one.
    """
    import_tensorflow()
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((artifact.path / "saved_model.pb").read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    if SIGNATURE not in signatures:
        raise BadInput(f"the SavedModel has no signature {SIGNATURE}", where=str(artifact.path), remedy=ANOTHER_FILE)
    have = list(signatures[SIGNATURE].inputs)
    arguments = argument_names(s.name for s in artifact.inputs)
    if all(s.name in have for s in artifact.inputs):
        arguments = {s.name: s.name for s in artifact.inputs}
    if missing := [name for name in arguments.values() if name not in have]:
        raise BadInput(f"{SIGNATURE} lacks {missing}; it has {have}", where=str(artifact.path), remedy=ANOTHER_FILE)
    return arguments


def _versioned(saved_model: Path, base: Path) -> Path:
    """A folder with the SavedModel as its version 1; its files are links."""
    version = base / "1"
    version.mkdir(parents=True)
    for entry in saved_model.resolve().iterdir():
        (version / entry.name).symlink_to(entry)
    return base


def _host_and_port(address: str) -> tuple[str, int]:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]@]+):(\d{1,5})", address)
    if found is None or not 0 < int(found[2]) < 1 << 16:
        raise ValueError("it is not HOST:PORT; an IPv6 address is in brackets")
    return found[1].strip("[]"), int(found[2])


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _stop(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


TARGETS = (
    TargetInfo(
        "tf-serving",
        title="TensorFlow Serving",
        summary="The SavedModel behind TensorFlow Serving, over gRPC or REST",
        kind=TFServing.kind,
        module="tensorflow",
        distributions=("tensorflow-cpu", "tensorflow"),
        install=INSTALL,
        make=TFServing,
        probe=True,
        address="HOST:PORT",
        place=_host_and_port,
        settings={
            "protocol": Setting("the API that is asked; default: grpc", one_of("grpc", "rest"), "grpc|rest"),
            "binary": Setting(f"the server's program; default: {_PROGRAM} on the path", metavar="PATH"),
            "model": Setting("the name that the model is served by; default: model", metavar="NAME"),
        },
    ),
)
