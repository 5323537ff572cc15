#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_nodes
short_description: Wait until Celery nodes answer and are as they shall be
version_added: 0.1.0
description:
  - Asks as C(celery inspect stats) does until every node answers, then compares the answers with O(nodes).
  - A node with the pool C(solo) answers only between two tasks, so one that is silent is warned of and no failure.
  - Reads only. Run it as root; Celery's command is run as O(user).
options:
  nodes:
    description: The C(max-concurrency) and the pool C(implementation) of each node, by its name.
    type: dict
    required: true
  timeout:
    description: Seconds after which nodes that do not answer are a failure.
    type: int
    default: 120
  logs:
    description:
      - How long the workers' logs were before old and new code with different tasks took turns, as C(auth_code) has it.
    type: dict
    default: {}
  since:
    description:
      - When that was, in seconds since 1970; 0 if they do not. Then the workers that took tasks meanwhile
        (M(allianceauth.tuning.celery_standby)) are asked as well, which have no log but systemd's journal.
    type: float
    default: 0
  name:
    description: Whose workers those are; the supervisor group.
    type: str
    default: ''
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
  - allianceauth.tuning.application
  - allianceauth.tuning.attributes
  - allianceauth.tuning.guard
attributes:
  check_mode:
    support: full
    description: Can run in check mode and return what it would otherwise return.
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Verify that the worker runs ten threads
  allianceauth.tuning.celery_nodes:
    venv: /home/allianceserver/venv/auth
    project: myauth
    project_dir: /home/allianceserver/myauth
    user: allianceserver
    nodes:
      worker_00@auth1:
        max-concurrency: 10
        implementation: celery_cli.concurrency.thread:TaskPool
"""

RETURN = r"""
pools:
  description: What each node says of its pool.
  returned: success
  type: dict
discarded:
  description: How many tasks workers have discarded since then, by the names of the tasks, as their code lacks them.
  returned: success
  type: dict
"""

from typing import Any, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import IMPLEMENTATIONS
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    audit_logs,
    celery_cli,
    guard,
    serving,
    supervisor_parser,
    supervisord,
)

# With this pool a node runs its task in the very thread that would answer.
_SOLO = IMPLEMENTATIONS["solo"]
# One that is free answers within a second.
_SOLO_SECONDS = 15


def of_solo(nodes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the nodes that are to have the pool solo; ``nodes`` has the figures of each by its name."""
    return [node for node, figures in nodes.items() if figures.get("implementation") == _SOLO]


def ask(
    application: celery_cli.Application, nodes: Sequence[str], solo: Sequence[str], seconds: float
) -> dict[str, Any]:
    """Return what each node answers to Celery's ``stats``, once all have or after so many seconds.

    Those of ``nodes`` that are ``solo`` as well may have a task from the first moment on, and are hardly waited for.
    """
    answers = application.answers("stats", [node for node in nodes if node not in solo], seconds)
    return {**answers, **application.answers("stats", solo, _SOLO_SECONDS)}


def judge(
    nodes: Mapping[str, Mapping[str, Any]], answers: Mapping[str, Mapping[str, Any]], seconds: int, logs: str
) -> tuple[str, str]:
    """Return a warning of nodes that are silent because they are busy, and the failure of any other, "" for none.

    ``nodes`` has the figures that each shall have, by its name, ``answers`` what each said to Celery's ``stats`` within
    so many seconds. ``logs`` is the folder in which more is to be read.
    """
    busy = sorted(set(of_solo(nodes)) - set(answers))
    names = " and ".join(busy)
    warning = f"Celery's {names} did not answer: with the pool solo, a node answers only between two tasks."
    warning = warning if busy else ""
    silent = " and ".join(sorted(set(nodes) - set(answers) - set(busy)))
    if silent:
        return warning, f"Celery's {silent} did not answer within {seconds} s; look into the workers' logs in {logs}."
    pools: dict[str, Any] = {node: said.get("pool", {}) for node, said in answers.items()}
    awake = {node: figures for node, figures in nodes.items() if node not in busy}
    return warning, " ".join(celery_cli.differences(awake, pools))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **celery_cli.APPLICATION_SPEC,
            "nodes": {"type": "dict", "required": True},
            "timeout": {"type": "int", "default": 120},
            "logs": {"type": "dict", "default": {}},
            "since": {"type": "float", "default": 0},
            "name": {"type": "str", "default": ""},
            **guard.SPEC,
        },
        supports_check_mode=True,
    )
    supervisord.find_supervisor(module)
    given = module.params
    nodes = given["nodes"]
    application = celery_cli.Application.configured(given, supervisord.MAIN_CONF)
    try:
        with guard.as_owner(module):
            answers = ask(application, list(nodes), of_solo(nodes), given["timeout"])
    except celery_cli.CannotAskError as why:
        module.fail_json(msg=str(why))
    warning, problem = judge(nodes, answers, given["timeout"], f"{given['project_dir']}/log")
    if warning:
        module.warn(warning)
    pools = {node: said.get("pool", {}) for node, said in answers.items()}
    if problem:
        module.fail_json(msg=problem, pools=pools)
    logs = supervisor_parser.worker_logs(supervisord.MAIN_CONF, given["project"]) if given["logs"] else []
    more = serving.said_since(given["name"], given["since"]) if given["since"] else ""
    module.exit_json(changed=False, pools=pools, discarded=audit_logs.discarded(logs, given["logs"], more))


if __name__ == "__main__":
    main()
