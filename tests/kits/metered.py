"""A proxy on this machine that counts what comes through it, and can be gone."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import select
import socket
import threading
from typing import Self


class MeteredProxy:
    """Plain HTTP and tunnels.

    Attributes:
        count: Bytes that came from servers.
        most: At so many it goes: what is open is cut, and nothing is let in.
    """

    def __init__(self) -> None:
        self.count, self.most = 0, float("inf")
        meter = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                host = self.path.split("/")[2]
                asked = http.client.HTTPConnection(host, timeout=60)
                asked.request("GET", self.path.partition(host)[2], headers=dict(self.headers))
                answer = asked.getresponse()
                self.send_response_only(answer.status, answer.reason)
                for name, value in answer.getheaders():
                    self.send_header(name, value)
                self.end_headers()
                while piece := answer.read1(1 << 16):
                    if not meter.passes(len(piece)):
                        self.close_connection = True
                        return
                    self.wfile.write(piece)

            def do_CONNECT(self) -> None:
                host, _, port = self.path.rpartition(":")
                self.close_connection = True
                with socket.create_connection((host, int(port)), 60) as there:
                    self.send_response_only(200)
                    self.end_headers()
                    here = self.connection
                    while ready := select.select([here, there], [], [], 60)[0]:
                        for end in ready:
                            data = end.recv(1 << 16)
                            if not data or (end is there and not meter.passes(len(data))):
                                return
                            (here if end is there else there).sendall(data)

            def handle(self) -> None:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    if meter.passes(0):
                        super().handle()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._lock = threading.Lock()

    def passes(self, size: int) -> bool:
        """Count bytes; False when there is no network any more."""
        with self._lock:
            self.count += size
            return self.count < self.most

    @property
    def environment(self) -> dict[str, str]:
        """What clients read."""
        url = f"http://127.0.0.1:{self._server.server_port}"
        return dict.fromkeys(("http_proxy", "https_proxy", "npm_config_proxy", "npm_config_https_proxy"), url) | {
            "no_proxy": ""
        }

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
