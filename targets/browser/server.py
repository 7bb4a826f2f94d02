"""What a page gets and gives: files, and tensors as bytes, on 127.0.0.1."""

from __future__ import annotations

import http.server
import secrets
import shutil
import threading
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

_TYPES = {".html": "text/html", ".js": "text/javascript", ".json": "application/json", ".wasm": "application/wasm"}
_HEADERS = {
    # What SharedArrayBuffer needs, which threads of WebAssembly need, and clocks of 5 µs.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-store",
}


class Server:
    """Files and bytes below a path that nobody can guess, on a port that the system picks.

    Args:
        files: First part of a path → the file, or the folder whose files are served.

    Attributes:
        given: Name → bytes that the page may fetch.
        taken: What the page has put.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.given: dict[str, bytes] = {}
        self.taken = b""
        self._files = {name: path.resolve() for name, path in files.items()}
        self._secret = secrets.token_urlsafe(16)
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.1,), daemon=True).start()

    @property
    def address(self) -> str:
        """Where paths begin."""
        return f"http://127.0.0.1:{self._http.server_port}/{self._secret}/"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def below(self, path: str) -> str | None:
        """The rest of a path that begins with the secret."""
        secret, _, rest = path.partition("?")[0].removeprefix("/").partition("/")
        return rest if secrets.compare_digest(secret.encode(), self._secret.encode()) else None

    def file(self, name: str) -> Path | None:
        """The file of this name, if there is one and it is in a folder that is served."""
        first, _, rest = name.partition("/")
        if first not in self._files:
            return None
        root = self._files[first]
        path = (root / rest).resolve() if rest else root
        return path if path.is_relative_to(root) and path.is_file() else None


def _handler(server: Server) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = server.below(self.path)
            if name is None:
                self._answer(HTTPStatus.NOT_FOUND)
            elif name in server.given:
                self._answer(HTTPStatus.OK, len(server.given[name]))
                self.wfile.write(server.given[name])
            elif path := server.file(name):
                with path.open("rb") as file:
                    self._answer(HTTPStatus.OK, path.stat().st_size, _TYPES.get(path.suffix))
                    shutil.copyfileobj(file, self.wfile)
            else:
                self._answer(HTTPStatus.NOT_FOUND)

        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if server.below(self.path) == "taken":
                server.taken = content
                self._answer(HTTPStatus.NO_CONTENT)
            else:
                self._answer(HTTPStatus.NOT_FOUND)

        def _answer(self, status: HTTPStatus, size: int = 0, kind: str | None = None) -> None:
            self.send_response(status)
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind or "application/octet-stream")
            if status != HTTPStatus.NO_CONTENT:
                self.send_header("Content-Length", str(size))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    return Handler
