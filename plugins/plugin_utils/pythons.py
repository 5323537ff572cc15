# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this ansible-core supports the Python of a server.

No ansible-core says so by itself: one that is too old for a Python runs all the same until something in it fails, and
a Python that is too old ends in a traceback.
"""

from __future__ import annotations

import re
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_core

# The oldest minor version of Python 3 that this collection is tested with.
_OURS = 9

_NO_HOSTS = "No inventory was found, or there is no host in it: name yours with -i, such as -i my-servers."


def supported() -> tuple[int, int]:
    """Return the lowest and the highest minor version of Python 3 that a server may have.

    Source: the interpreters that ansible-core looks for on a server, which are all that it supports
    (config/base.yml, INTERPRETER_PYTHON_FALLBACK). An administrator may set others; this is what it was made for.
    """
    names = constants.config.get_configuration_definitions()["INTERPRETER_PYTHON_FALLBACK"]["default"]
    minors = [int(found[1]) for found in (re.fullmatch(r"python3\.(\d+)", str(name)) for name in names) if found]
    return max(min(minors), _OURS), max(minors)


def unsupported(host: str, version: str) -> str:
    """Return a sentence on a Python, such as ``3.14.0``, that ansible-core or this collection does not support."""
    lowest, highest = supported()
    found = re.match(r"(\d+)\.(\d+)", version)
    if not found or (3, lowest) <= (int(found[1]), int(found[2])) <= (3, highest):
        return ""
    return (
        f"{host}: ansible-core {ansible_core}, which runs here, supports Python 3.{lowest} to 3.{highest} on servers, "
        f"and this one has {found[0]}. The README has a table of which ansible-core supports what."
    )


class Look(ActionBase):
    """Call the module of the action's own name, or `module`, and say if the server's Python is not supported.

    It is the first that a run does on a server. What has worked gets a warning; a traceback gets the sentence. A module
    that returns its ``python`` saves the question for it.
    """

    module: str | None = None
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        known = task_vars or {}
        if known.get("__auth_needs_hosts") and not known["groups"].get("all"):
            # Only our playbooks say so: somebody's own may be for the localhost that Ansible has without an inventory.
            return {**result, "failed": True, "msg": _NO_HOSTS}
        result.update(self._execute_module(module_name=self.module, task_vars=task_vars))
        broken = bool(result.get("failed")) and "module_stdout" in result
        version = str(result.get("python", ""))
        # What ended with a sentence of its own needs none of ours; what could not be reached answers no question.
        if broken or not (version or result.get("failed") or result.get("unreachable")):
            version = self._version()
        said = unsupported(known["inventory_hostname"], version)
        if said and broken:
            result["msg"] = said
            # ansible-core 2.19 and newer would print its own cause in the sentence's place.
            result.pop("exception", None)
        elif said:
            result.setdefault("warnings", []).append(said)
        return result

    def _version(self) -> str:
        """Ask the interpreter that ran the module, or could not; empty if it does not answer."""
        interpreter = (self._used_interpreter or "").lstrip("#!").strip()
        # ansible-core has no types for it.
        action: Any = self
        answer = action._low_level_execute_command(f"{interpreter} --version")
        return str(answer["stdout"] + answer["stderr"]).partition("Python ")[2].strip()
