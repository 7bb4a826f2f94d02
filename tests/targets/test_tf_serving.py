"""The client against a server of tensorflow-serving-api's own stubs: ``make test-serving`` fetches that package."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from edgeworthy.artifact import SavedModel, TensorSpec
from edgeworthy.errors import BadInput, CheckFailed, NotAvailable, RuntimeFailure
from edgeworthy.targets import find
from edgeworthy.targets.worker import Worker

from .test_xla_and_keras import PAIR, RESULTS, check, feeds, pair_model, saved

__all__ = ["pair_model"]

API = os.environ.get("EDGEWORTHY_SERVING_API", "")
served = pytest.mark.skipif(not API, reason="make test-serving fetches tensorflow-serving-api")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A stand-in of ``tensorflow_model_server``, which is on no package index."""
    path = tmp_path_factory.mktemp("serving") / "model server"
    server = Path(__file__).with_name("serving_server.py")
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{API}" exec "{sys.executable}" "{server}" "$@"\n')
    path.chmod(0o755)
    return str(path)


def gone(pids: list[int]) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until and any(psutil.pid_exists(pid) for pid in pids):
        time.sleep(0.05)
    return not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.device
@served
@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_a_server_is_started_asked_and_ended(program: str, pair_model: SavedModel, protocol: str) -> None:
    with Worker(f"tf-serving,binary={program},protocol={protocol}", pair_model) as worker:
        assert worker.version == "TensorFlow ModelServer: of the tests"
        for n in (2, 5, 1):
            check(worker.run(feeds(n)), feeds(n))
        extreme = feeds(2)
        extreme["a"][0] = [0.0, -0.0, np.inf, 3e38]
        check(worker.run(extreme), extreme)
        assert len(worker.time(feeds(2), 3)) == 3
        assert worker.receipt.ran == f"{protocol} of {program}"
        assert worker.peak_rss_bytes > 100e6  # TensorFlow's, in the server
        first = [child.pid for child in psutil.Process(worker.pid).children(recursive=True)]
        worker.load(pair_model)
        assert gone(first)
        second = [child.pid for child in psutil.Process(worker.pid).children(recursive=True)]
        assert second
    assert gone(second)


@pytest.fixture(scope="session")
def running(program: str, pair_model: SavedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Protocol → address of a server that runs already, with the model as ``pair``."""
    base = tmp_path_factory.mktemp("base")
    (base / "7").symlink_to(pair_model.path)
    ports = []
    for _ in range(2):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            ports.append(listener.getsockname()[1])
    command = [program, f"--port={ports[0]}", f"--rest_api_port={ports[1]}", "--model_name=pair"]
    server = subprocess.Popen([*command, f"--model_base_path={base}"], stderr=subprocess.DEVNULL)
    addresses = {"grpc": f"127.0.0.1:{ports[0]}", "rest": f"127.0.0.1:{ports[1]}"}
    until = time.monotonic() + 120
    for address in addresses.values():
        host, _, port = address.partition(":")
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    break
            time.sleep(0.1)
    yield addresses
    server.kill()
    server.wait()


@pytest.mark.device
@served
@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_a_running_server_is_asked_at_its_address(
    running: dict[str, str], pair_model: SavedModel, protocol: str
) -> None:
    target = f"tf-serving:{running[protocol]},protocol={protocol}"
    assert find(f"{target},model=pair").missing() is None
    with Worker(f"{target},model=pair", pair_model) as worker:
        check(worker.run(feeds(3)), feeds(3))
        large = {"a": np.ones((200_000, 4), np.float32), "b": np.zeros((200_000, 4), np.int64)}  # 9.6 MB: above 4 MB
        if protocol == "grpc":
            check(worker.run(large), large)
        assert worker.receipt.ran == f"{protocol} at {running[protocol]}"
        with pytest.raises(RuntimeFailure, match="the server refused the request") as refused:
            worker.load(replace(pair_model, inputs=(PAIR[0],)))
            worker.run({"a": feeds(1)["a"]})
        assert "input keys" in refused.value.details[0]
        lacking = replace(pair_model, outputs=(*RESULTS, TensorSpec("w", "float32", ("n",))))
        if protocol == "grpc":
            worker.load(lacking)
            with pytest.raises(BadInput, match=r"the served model gave no \['w'\]"):
                worker.run(feeds(1))
    with pytest.raises(BadInput, match="the server has no model 'model'") as unknown:
        Worker(target, pair_model).__enter__()
    assert unknown.value.remedy == "name it: tf-serving,model=NAME"


@pytest.mark.device
@served
def test_a_single_output_of_rest_has_no_name(program: str, tensorflow: Any, tmp_path: Path) -> None:
    tf = tensorflow

    class One(tf.Module):  # type: ignore[name-defined,misc]
        def call(self, a: Any) -> dict[str, Any]:
            return {"y": tf.reduce_max(a, axis=1) > 0}

    model = saved(tf, One(), tmp_path / "saved_model", PAIR[:1], (TensorSpec("y", "bool", ("n",)),))
    with Worker(f"tf-serving,binary={program},protocol=rest", model) as worker:
        out = worker.run({"a": feeds(3)["a"]})["y"]
    np.testing.assert_array_equal(out, feeds(3)["a"].max(1) > 0)
    assert out.dtype == np.bool_


def test_a_server_that_ends_is_a_failure(pair_model: SavedModel) -> None:
    with pytest.raises(CheckFailed, match="ended with 1 while it loaded the model"):
        Worker("tf-serving,binary=false", pair_model).__enter__()


def test_a_server_that_ends_is_shown_with_its_last_words(pair_model: SavedModel, tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_text('#!/bin/sh\ntest "$1" = --version || { echo "no such op: Erf" >&2; exit 3; }\n')
    program.chmod(0o755)
    with pytest.raises(RuntimeFailure, match="ended with 3 while it loaded the model") as raised:
        Worker(f"tf-serving,binary={program}", pair_model).__enter__()
    assert raised.value.details == ("no such op: Erf",)
    assert raised.value.remedy and "--model_base_path=/FOLDER" in raised.value.remedy


def test_where_nobody_listens_the_remedy_starts_one_there() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        closed = listener.getsockname()[1]
        for protocol, inner in (("grpc", 8500), ("rest", 8501)):
            why = find(f"tf-serving:127.0.0.1:{closed},protocol={protocol}").missing() or ""
            assert f"-p {closed}:{inner} -v $(realpath OUT/saved_model)" in why and "install" not in why


def test_what_is_missing_is_said() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        closed = listener.getsockname()[1]
        why = find(f"tf-serving:127.0.0.1:{closed}").missing() or ""
    assert f"nobody listens at 127.0.0.1:{closed}" in why and "docker run" in why
    assert "there is no program no-such-server" in (find("tf-serving,binary=no-such-server").missing() or "")
    for address in ("localhost", "localhost:rest", "localhost:99999", "localhost:0", "::1", "a b:1", "http://a:1"):
        with pytest.raises(BadInput, match="is not HOST:PORT"):
            find(f"tf-serving:{address}")
    assert f"nobody listens at [::1]:{closed}: " in (find(f"tf-serving:[::1]:{closed}").missing() or "")
    assert "Name or service" not in (find(f"tf-serving:[::1]:{closed}").missing() or "")
    with pytest.raises(BadInput, match="it is one of grpc, rest"):
        find("tf-serving,protocol=soap")


def test_a_server_that_is_gone_is_not_available(pair_model: SavedModel) -> None:
    """Between the look at the port and the request."""
    from edgeworthy.targets.serving_clients import Grpc, Rest

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    for client in (Rest(address, "m", RESULTS), Grpc(address, "m")):
        with pytest.raises(NotAvailable, match=f"no TensorFlow Serving answers at {address}"):
            client.state()
