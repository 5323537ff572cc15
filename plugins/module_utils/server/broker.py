# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the broker that an earlier run has noted for a sign of life, without loading the project."""

from __future__ import annotations

import errno
import re
import signal
import socket
from typing import Any, Iterable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.server import privileges

# A run with nothing to do takes so much longer where a packet filter drops what is sent; else a millisecond.
_SECONDS = 3

# With the name server, for which no time limit of a socket holds.
_ALL_SECONDS = 6

# What `audit_program.identity` has of Redis.
_RUN_ID = re.compile(rb"^run_id:([0-9a-f]+)\r?$", re.MULTILINE)


def look(code: Mapping[str, Any], uid: int | None) -> dict[str, str]:
    """Return the broker that is noted in ``code``, which is `code.look`'s, as the user ``uid`` reaches it.

    Its ``address`` and its ``identity``, the same for all who use it, and the ``problem`` if it does not answer.
    Nothing if none is noted, or if the project has changed since, whose settings may name another.
    """
    noted = code["kept"]["broker"]
    if not noted or uid is None or _times(code["sources"]) != _times(noted["sources"]):
        return {}
    found = {"address": noted["address"], "identity": noted["identity"], "problem": ""}
    if not noted["address"]:
        return found
    try:
        said = privileges.in_child(lambda: _ask_in_time(noted["address"]), uid)
    except OSError as why:
        return {**found, "problem": why.strerror or str(why)}
    except RuntimeError:
        # The alarm has ended it.
        return {**found, "problem": f"no answer within {_ALL_SECONDS} s"}
    if said and noted["identity"]:
        # It has been started anew since, or not. Without its password it does not say so.
        found["identity"] = f"{said}/{noted['identity'].partition('/')[2]}"
    return found


def _times(sources: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    return {source["path"]: source["time"] for source in sources}


def _ask_in_time(address: str) -> str:
    """Do what `_ask` does, in a process that ends if it takes too long; an OSError has a number and a word."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_ALL_SECONDS)
    try:
        return _ask(address)
    except socket.timeout as why:
        raise OSError(errno.ETIMEDOUT, f"no answer within {_SECONDS} s") from why


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
        raise OSError(errno.ECONNRESET, "it closes the connection")
    number = _RUN_ID.search(said)
    return number[1].decode() if number else ""


def _connected(address: str) -> socket.socket:
    host, _colon, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), _SECONDS)
