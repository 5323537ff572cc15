# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as an answer of the site."""

from __future__ import annotations

import http.server
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import http_probe


def answering(status: int) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def address_string(self) -> str:
            # A client on a Unix socket has none.
            return "client"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    return Handler


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("status", "answers"), [(200, True), (302, True), (400, True), (500, False), (502, False)])
def test_every_status_below_500_is_an_answer(status: int, answers: bool) -> None:
    server = socketserver.TCPServer(("127.0.0.1", 0), answering(status))
    with serving(server):
        for host in ("127.0.0.1", "0.0.0.0"):
            answer = http_probe.ask(f"{host}:{server.server_address[1]}")
            assert (answer["status"] if answer else None) == (status if answers else None)


def test_a_unix_socket_is_asked_too() -> None:
    with tempfile.TemporaryDirectory() as folder:
        with serving(socketserver.UnixStreamServer(f"{folder}/s", answering(200))):
            answer = http_probe.ask(f"unix:{folder}/s")
            assert answer
            assert answer["status"] == 200
        assert http_probe.ask(f"unix:{folder}/s") is None


def test_where_nobody_listens_there_is_no_answer() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), answering(200)) as server:
        port = server.server_address[1]
    assert http_probe.ask(f"127.0.0.1:{port}") is None
