# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who could change what root runs, and who can use the daemon. `host` is testinfra's."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import server

# A command that nobody would want root to run, for printf.
MARK = "/var/lib/lab/intruder"
SECTION = f'\\n[program:intruder]\\ncommand = /bin/sh -c "id > {MARK}; sleep 1d"\\nstartsecs = 0\\n'


@dataclass(frozen=True)
class RootFiles:
    """What root's processes of the daemon's tree execute, load and write, and what of it the auth user can change."""

    loaded: set[str]
    changeable: list[str]


def root_files(host: Any) -> RootFiles:
    """Look for them on the server; see root_files.py."""
    source = Path(__file__).with_name("root_files.py").read_text()
    daemon = server.run(host, "systemctl show --property MainPID --value supervisor").strip()
    found = json.loads(server.run(host, shlex.join(["python3", "-c", source, server.USER, daemon])))
    return RootFiles(set(found["loaded"]), found["changeable"])


def attempt(host: Any, user: str, command: str) -> str:
    """Try a command as a user; return all that was said."""
    done = host.run(f"runuser -u {user} -- sh -c {shlex.quote(command)} 2>&1")
    return f"{done.stdout}{done.stderr}"
