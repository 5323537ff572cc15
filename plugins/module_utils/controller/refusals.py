# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what a server lacks that the role does not bring, and show why a run stops."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import memory
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared


def message(found: Sequence[str], host: str, show: Callable[[str], object]) -> str:
    """Return the message that a run fails with. Several refusals are shown before it, one a line.

    Ansible prints a message in one line, and twice.
    """
    if len(found) == 1:
        return found[0]
    show("\n".join(["", *found, ""]))
    return f"{host}: {len(found)} things have to be set right first, see the lines above; nothing was touched."


def refusals(declared: Declared, info: Mapping[str, Any], host: str) -> list[str]:
    """Return a sentence for each thing that the server lacks and the role does not bring."""
    found = []
    if not info["unit"]:
        found.append(
            f"{host}: systemd has no unit supervisor here; install the package supervisor, "
            "as Alliance Auth's installation guide says."
        )
    elif not info["daemon"].get("of_systemd", True):
        found.append(
            f"{host}: supervisord (process {info['daemon']['pid']}) was not started by systemd; stop it "
            "(supervisorctl shutdown) and start it with systemctl start supervisor."
        )
    if info["user"] is None:
        found.append(f"{host}: there is no user {declared.user}; set auth_user to the one that runs Alliance Auth.")
    if not info["project_exists"]:
        found.append(
            f"{host}: {declared.project_dir} has no manage.py; set auth_project_dir to the project's folder, "
            f"or auth_project and auth_user, from which it is made."
        )
    if not info["venv"]["exists"]:
        found.append(f"{host}: {declared.venv} is no virtual environment; set auth_venv to the one of Alliance Auth.")
        return found
    needed = {"celery": bool(declared.workers or declared.beat), "gunicorn": bool(declared.gunicorn), "python": True}
    for program, need in needed.items():
        if need and program not in info["venv"]["programs"]:
            found.append(
                f"{host}: {declared.venv}/bin/{program} is missing or cannot be executed; install it there first."
            )
    for pool in {worker.pool for worker in declared.workers} & {"gevent", "eventlet"}:
        if pool not in info["venv"]["versions"]:
            found.append(
                f"{host}: the pool {pool} needs the package {pool} in {declared.venv}; install it there first."
            )
    return found + memory.limits_below_rest(declared, info, host)


def second_beat(host: str, known: Mapping[str, Mapping[str, Any]]) -> str:
    """Return why the host must not get a beat that another host of the run has on the same broker, "" if it may.

    ``known`` has the variables of all hosts, with what the steps of this run have registered.
    """
    ours = _broker_of_beat(known[host])
    others = [name for name, one in known.items() if name != host and ours and _broker_of_beat(one) == ours]
    return (
        f"{host}: auth_beat is true here and for {', '.join(others)}, on one and the same broker, so that all that has "
        "to happen regularly would happen twice; set auth_beat: false for all of them but one."
        if others
        else ""
    )


def _broker_of_beat(known: Mapping[str, Any]) -> str:
    """Return the identity of the broker that a host's beat uses, "" if it has none or nobody knows."""
    checked = known.get("__auth_checked") or {}
    if "beat_broker" in checked:
        return str(checked["beat_broker"])
    plan = (known.get("__auth_decided") or {}).get("plan") or {}
    # A host with nothing to do goes no further than its look: what an earlier run has noted counts.
    idle = plan.get("job") == "apply" and not plan["actions"]
    has_beat = idle and any(name.endswith(":beat") for name in plan["expected"]["processes"])
    return str(known["__auth_info"]["broker"].get("identity", "")) if has_beat else ""
