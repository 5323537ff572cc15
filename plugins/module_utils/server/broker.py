# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the broker that an earlier run has noted for a sign of life, without loading the project."""

from __future__ import annotations

import re
import socket
from typing import Any, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.server import privileges

# A run with nothing to do takes as long as that where a packet filter drops what is sent; else a millisecond.
_SECONDS = 3

# What `audit_program.identity` has of Redis.
_RUN_ID = re.compile(rb"^run_id:([0-9a-f]+)\r?$", re.MULTILINE)


def look(code: Mapping[str, Any], uid: int | None) -> dict[str, str]:
    """Return the broker that is noted in ``code``, which is `code.look`'s, as the user ``uid`` reaches it.

    Its ``address`` and its ``identity``, the same for all who use it, and the ``problem`` if it does not answer.
    Nothing if none is noted, or if the project has changed since, whose settings may name another.
    """
    noted = code["kept"]["broker"]
    if not noted or uid is None or any(source["time"] > noted["time"] for source in code["sources"]):
        return {}
    found = {"address": noted["address"], "identity": noted["identity"], "problem": ""}
    if not noted["address"]:
        return found
    try:
        said = privileges.in_child(lambda: _ask(noted["address"]), uid)
    except (OSError, RuntimeError) as why:
        return {**found, "problem": getattr(why, "strerror", None) or str(why)}
    if said and noted["identity"]:
        # It has been started anew since, or not. Without its password it does not say so.
        found["identity"] = f"{said}/{noted['identity'].partition('/')[2]}"
    return found


def _ask(address: str) -> str:
    """Return Redis' number for its present run, "" if it does not tell that to strangers. Raises OSError."""
    is_path = address.startswith("/")
    with socket.socket(socket.AF_UNIX) if is_path else _connected(address) as connection:
        connection.settimeout(_SECONDS)
        if is_path:
            connection.connect(address)
        # An inline command. Source: Redis serialization protocol specification
        connection.sendall(b"INFO server\r\n")
        said = connection.recv(65536)
    if not said:
        raise ConnectionResetError("it closes the connection")
    number = _RUN_ID.search(said)
    return number[1].decode() if number else ""


def _connected(address: str) -> socket.socket:
    host, _colon, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), _SECONDS)
