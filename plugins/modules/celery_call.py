#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_call
short_description: Queue a Celery task and wait until a worker has received it
version_added: 0.1.0
description:
  - Queues nothing if no worker answers.
  - Runs C(celery call), then asks C(celery inspect stats) until the workers have counted one more task of that name.
options:
  task:
    description: The task's name.
    type: str
    required: true
  timeout:
    description: Seconds after which a task that no worker has received is a failure.
    type: int
    default: 60
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
  - allianceauth.tuning.application
  - allianceauth.tuning.attributes
attributes:
  check_mode:
    support: full
    description: Can run in check mode and queue nothing.
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Queue the tuning guide's load
  allianceauth.tuning.celery_call:
    venv: /home/allianceserver/venv/auth
    project: myauth
    project_dir: /home/allianceserver/myauth
    user: allianceserver
    task: allianceauth.eveonline.tasks.run_model_update
"""

RETURN = r"""
id:
  description: The task's id.
  returned: success
  type: str
nodes:
  description: The nodes whose count of that task has risen.
  returned: success
  type: list
  elements: str
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import celery_cli, privileges, supervisord

# A worker on a busy machine has that long to say that it is there.
_LONG_SECONDS = 15


def received(application: celery_cli.Application, task: str, seconds: int = 2) -> dict[str, int]:
    """Return how many tasks of that name each node has received since it started."""
    answers = application.inspect("stats", seconds=seconds)
    return {node: int(said.get("total", {}).get(task, 0)) for node, said in answers.items()}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **celery_cli.APPLICATION_SPEC,
            "task": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    missing = privileges.root_missing()
    if missing:
        module.fail_json(msg=missing)
    supervisord.find_supervisor(module)
    if module.check_mode:
        module.exit_json(changed=True, id="", nodes=[])
    work(module)


def work(module: AnsibleModule) -> None:
    """Queue the task and wait for it, and end with the result."""
    given = module.params
    application = celery_cli.Application.configured(given, supervisord.MAIN_CONF)
    result: dict[str, Any] = {"changed": False, "nodes": []}
    try:
        # What nobody takes would stay in the queue.
        before = received(application, given["task"]) or received(application, given["task"], _LONG_SECONDS)
        if not before:
            module.fail_json(
                msg=f"No worker of {given['project']} answers, so {given['task']} was not queued; after a drain, run "
                "the playbook start first. supervisorctl status says whether the workers run.",
                **result,
            )
        result.update(id=application.call(given["task"]), changed=True)
        until = time.monotonic() + given["timeout"]
        while not result["nodes"]:
            now = received(application, given["task"])
            result["nodes"] = sorted(node for node, count in now.items() if count > before.get(node, 0))
            if not result["nodes"] and time.monotonic() >= until:
                module.fail_json(
                    msg=f"No worker received {given['task']} within {given['timeout']} s, though it was queued; "
                    f"supervisorctl status says whether the workers run, {given['project_dir']}/log what they do.",
                    **result,
                )
    except celery_cli.CannotAskError as why:
        module.fail_json(msg=str(why), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
