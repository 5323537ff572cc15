# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the site for an answer at the address that gunicorn listens on."""

from __future__ import annotations

import http.client
import socket
import time
from typing import Any

# A first request makes Django load all apps.
_SECONDS = 5

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)


def ask(bind: str) -> dict[str, Any] | None:
    """Return the ``status`` of the answer to ``GET /`` and when it came (``at``), None for no answer.

    ``bind`` is gunicorn's: HOST:PORT or unix:PATH. A redirect to the login page,
    or a refusal of a host name that is not the site's, is an answer; a status of
    500 or more is none: there the application itself did not work.
    """
    connection = _connection(bind)
    try:
        connection.request("GET", "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return {"status": status, "at": time.time()} if status < 500 else None


def _connection(bind: str) -> http.client.HTTPConnection:
    if bind.startswith("unix:"):
        return _UnixConnection(bind[len("unix:") :])
    host, _colon, port = bind.rpartition(":")
    return http.client.HTTPConnection(_WILDCARDS.get(host, host).strip("[]"), int(port), timeout=_SECONDS)
