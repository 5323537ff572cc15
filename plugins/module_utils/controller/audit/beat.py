# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""beat and the workers' nodes, over all hosts of a run that share a broker: one beat, and no node twice."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.finding import Finding, listed
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.worker import workers

_ALIVE = ("RUNNING", "STARTING")


def broker(host: str, one: Mapping[str, Any]) -> str:
    """Return what is the same for all projects that share a broker; one that cannot be asked has its own."""
    asked = one["asked"].get("broker") or {}
    return str(asked.get("identity") or f"{host} {asked.get('address', one['directory'])}") + f" {one['name']}"


def findings(looks: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Finding]]:
    """Return for each host what is wrong with beat and with the nodes' names."""
    together: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for host, look in looks.items():
        for one in look["projects"]:
            together.setdefault(broker(host, one), []).append((host, one))
    found: dict[str, list[Finding]] = {host: [] for host in looks}
    for members in together.values():
        for host, finding in [*_beats(looks, members), *_nodes(looks, members)]:
            found[host].append(finding)
    return found


def _beats(
    looks: Mapping[str, Mapping[str, Any]], members: list[tuple[str, Mapping[str, Any]]]
) -> Iterable[tuple[str, Finding]]:
    beats = [
        (host, process)
        for host, one in members
        for process in looks[host]["processes"]
        if process["kind"] == "beat" and process["namespec"] in one["processes"]
    ]
    running = [(host, process) for host, process in beats if _runs(process)]
    orphans = [
        (host, orphan)
        for host in sorted({host for host, _one in members})
        for orphan in looks[host]["orphans"]
        if orphan["kind"] == "beat" and any(other == host and _is_of(orphan, one) for other, one in members)
    ]
    name = members[0][1]["name"]
    where = listed(sorted({host for host, _one in members}))
    if not running and not orphans:
        strangers = _elsewhere(looks, members)
        there = listed([f"{process['namespec']} on {host} is {process['state']}" for host, process in beats])
        yield (
            members[0][0],
            Finding(
                "low" if strangers else "high",
                "no-beat",
                name,
                f"no beat runs on {where}{': ' + there if there else ''}"
                + (f"; {listed(strangers)} use the same broker on a host that was not looked at" if strangers else ""),
                "Nothing that has to happen regularly happens: no model update, no check of permissions, no clean-up.",
                "auth_beat: true on exactly one host",
                name,
            ),
        )
    names = [f"{process['namespec']} on {host}" for host, process in running]
    names += [f"process {orphan['pid']} on {host}, which no supervisord looks after" for host, orphan in orphans]
    if len(names) > 1:
        for host in sorted({host for host, _process in [*running, *orphans]}):
            yield (
                host,
                Finding(
                    "high",
                    "several-beats",
                    name,
                    f"{len(names)} beats use one broker: {listed(names)}",
                    "Each of them queues everything that has to happen regularly, so that all of it is done as many "
                    "times.",
                    "auth_beat: false on all hosts but one",
                    name,
                ),
            )


def _is_of(orphan: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    """Whether a process that was left behind is a project's; one that does not name it may be any's of its venv."""
    return bool(orphan["project"] == one["name"] if orphan["project"] else orphan["venv"] == one["venv"])


def _runs(process: Mapping[str, Any]) -> bool:
    """Whether a beat runs, also if somebody has started it by hand; without a state, whether it would by itself."""
    return bool(process["autostart"]) if process["state"] is None else process["state"] in _ALIVE


def _elsewhere(looks: Mapping[str, Mapping[str, Any]], members: list[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return the nodes on the broker that belong to no host of the run."""
    own = {one.node for host, _project in members for one in workers(looks[host])}
    return sorted({node for _host, one in members for node in one["asked"].get("nodes") or {}} - own)


def _nodes(
    looks: Mapping[str, Mapping[str, Any]], members: list[tuple[str, Mapping[str, Any]]]
) -> Iterable[tuple[str, Finding]]:
    owners: dict[str, list[tuple[str, str]]] = {}
    for host, one in members:
        for worker in workers(looks[host]):
            if worker.namespec in one["processes"]:
                owners.setdefault(worker.node, []).append((host, worker.namespec))
    name = members[0][1]["name"]
    for node, places in owners.items():
        if len(places) > 1:
            for host in sorted({host for host, _namespec in places}):
                yield (
                    host,
                    Finding(
                        "high",
                        "node-name-twice",
                        node,
                        listed([f"{namespec} on {host}" for host, namespec in places]) + " have this name",
                        "Celery cannot tell them apart: what is asked of one is answered by either, and a drain that "
                        "waits for one of them may see the other.",
                        "ansible-playbook -i my-servers allianceauth.tuning.apply (it names nodes PROCESS@HOST)",
                        name,
                    ),
                )
    for host, one in members:
        without = [
            worker
            for worker in workers(looks[host])
            if worker.namespec in one["processes"]
            and worker.node.partition("@")[2] != looks[host]["hostname"]
            and len(owners[worker.node]) == 1
        ]
        if without:
            yield (
                host,
                Finding(
                    "low",
                    "node-name-without-host",
                    listed([worker.namespec for worker in without]),
                    f"the nodes are {listed([worker.node for worker in without])}",
                    "The name has no host in it: a second server with the same file would have nodes of the same "
                    "names, which Celery cannot tell apart.",
                    "ansible-playbook -i my-servers allianceauth.tuning.apply (it names nodes PROCESS@HOST)",
                    one["name"],
                ),
            )
