"""What a page may fetch, and nobody else."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from edgeworthy.targets.browser.server import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "npm").mkdir()
    (tmp_path / "npm/index.js").write_text("export {};")
    (tmp_path / "npm/out.js").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "a model.tflite").write_bytes(b"model")
    served = Server({"npm": tmp_path / "npm", "model": tmp_path / "a model.tflite"})
    yield served
    served.close()


def ask(server: Server, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes, dict[str, str]]:
    """A request of a path below the secret, or of an absolute one, sent as it is."""
    place = urlsplit(server.address)
    connection = http.client.HTTPConnection(str(place.hostname), place.port or 0, timeout=10)
    connection.request(method, path if path.startswith("/") else place.path + path, body)
    answer = connection.getresponse()
    found = answer.status, answer.read(), dict(answer.getheaders())
    connection.close()
    return found


def test_files_and_bytes_are_given_and_taken(server: Server) -> None:
    status, content, headers = ask(server, "npm/index.js")
    assert (status, content, headers["Content-Type"]) == (200, b"export {};", "text/javascript")
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"  # what threads need
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert ask(server, "model")[:2] == (200, b"model")
    server.given["feeds"] = bytes(range(256))
    assert ask(server, "feeds")[:2] == (200, bytes(range(256)))
    assert ask(server, "taken", "PUT", b"outputs")[0] == 204
    assert server.taken == b"outputs"


@pytest.mark.parametrize(
    "path",
    ["npm/../secret.txt", "npm/out.js", "npm", "npm/", "model/x", "other", "", "/", "/npm/index.js", "/x/npm/index.js",
     "npm/%2e%2e/secret.txt", "npm//etc/passwd", "/%C3%A9/model"],
)  # fmt: skip
def test_nothing_else_is(server: Server, path: str) -> None:
    status, content, _ = ask(server, path)
    assert (status, content) == (404, b"")


def test_nobody_else_puts(server: Server) -> None:
    assert ask(server, "/x/taken", "PUT", b"forged")[0] == 404
    assert ask(server, "npm/index.js", "PUT", b"forged")[0] == 404
    assert server.taken == b""


def test_ports_are_the_systems_to_pick(server: Server, tmp_path: Path) -> None:
    other = Server({"model": tmp_path / "secret.txt"})
    assert urlsplit(other.address).port != urlsplit(server.address).port
    assert urlsplit(other.address).path != urlsplit(server.address).path
    assert ask(other, "model")[1] == b"secret"
    other.close()
