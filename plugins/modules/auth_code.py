#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: auth_code
short_description: Check the installed code before it comes into service
version_added: 0.1.0
description:
  - Loads the project as its gunicorn and its workers load it, and refuses what would not come back from a restart.
  - It is refused that the project, its Celery application or gunicorn's configuration does not load, that migrations
    are not applied, that tasks wait which only the workers that run now have, and that of what is restarted and what
    runs on one may queue tasks that the other would discard.
  - It is warned of errors of Django's check and of requirements of packages that are not met.
  - Run it as root; the project is loaded as O(user).
options:
  state:
    description:
      - V(checked) checks it, and changes nothing.
      - V(kept) remembers the versions of all packages as those that are in service, and the broker.
    type: str
    choices: [checked, kept]
    default: checked
  name:
    description: Whose packages they are; the supervisor group.
    type: str
    required: true
  nodes:
    description: The Celery nodes of the workers that are to be restarted.
    type: list
    elements: str
    default: []
  staying:
    description: The Celery nodes of workers that run on.
    type: list
    elements: str
    default: []
  queueing:
    description: The processes (C(GROUP:PROCESS)) that run on and queue tasks.
    type: list
    elements: str
    default: []
  broker:
    description: For O(state=kept), the broker as M(allianceauth.tuning.supervisor_config) has it, to remember it too.
    type: dict
    default: {}
  sources:
    description:
      - For O(state=kept), the C(sources) of RV(allianceauth.tuning.auth_info#module:code) as the run has found them.
        Once they are others, O(broker) may be another one, too.
    type: list
    elements: dict
    default: []
  gunicorn:
    description: The process (C(GROUP:PROCESS)) whose configuration has to load, empty for none.
    type: str
    default: ''
  unmigrated:
    description: Whether migrations may be left to be applied.
    type: bool
    default: false
  before:
    description: What comes next, for the sentence on what is refused - the programs stop, or they start.
    type: str
    choices: [stop, start]
    default: stop
  lose_tasks:
    description: Whether tasks may be lost that only the code of before or only the installed one has.
    type: bool
    default: false
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
  - allianceauth.tuning.application
  - allianceauth.tuning.attributes
  - allianceauth.tuning.guard
attributes:
  check_mode:
    support: full
    description: Can run in check mode, where it checks the same and remembers nothing.
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Check what is installed
  allianceauth.tuning.auth_code:
    name: myauth
    gunicorn: "myauth:gunicorn"
    nodes: [worker_00@auth1]
    venv: /home/allianceserver/venv/auth
    project: myauth
    project_dir: /home/allianceserver/myauth
    user: allianceserver
"""

RETURN = r"""
apart:
  description:
    - Why workers with the installed code and those of O(nodes) must not take tasks from one queue, empty if they may.
    - A worker discards a task that its code does not have.
  returned: O(state=checked)
  type: str
queues:
  description:
    - The queues that a worker with the installed code takes tasks from if its command names none.
    - Empty if it could not be handed a queue later, because its Celery would forget that (before 5.7), or because the
      project forbids queues that it does not know (C(task_create_missing_queues)).
  returned: O(state=checked)
  type: list
  elements: str
logs:
  description: How long the workers' logs are now, by their paths, if RV(apart) is not empty.
  returned: O(state=checked)
  type: dict
since:
  description: The server's time, in seconds since 1970; 0 if RV(apart) is empty.
  returned: O(state=checked)
  type: float
"""

import dataclasses
import inspect
import pwd
import socket
import time
from typing import Any, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    audit_logs,
    celery_cli,
    code,
    code_program,
    consumers,
    guard,
    proof,
    supervisor_parser,
    supervisord,
)

# Django with all its apps, all their checks, and nodes that answer late. Nothing waits for it meanwhile, so this is for
# a broker or a database that never answers.
_SECONDS = 1800

# So many migrations, errors or requirements are named.
_MOST = 5


def gunicorn_problem(application: celery_cli.Application, process: str) -> str:
    """Return why gunicorn's configuration, or the project in it, does not load, "" if it does."""
    try:
        program = supervisor_parser.programs(supervisord.MAIN_CONF, [process]).get(process)
    except supervisor_parser.InvalidError:
        # What supervisord has loaded is started, whatever the disk says.
        return ""
    if not program:
        return ""
    words = split_command(program["command"])
    if not words or not words[0].endswith("/gunicorn"):
        return ""
    # It may have another environment than the workers.
    own = dataclasses.replace(application, environment=program["environment"])
    return own.gunicorn_problem(words[1:], _SECONDS)


def refusal(given: dict[str, Any], found: dict[str, Any]) -> str:
    """Return why what is installed must not come into service now, "" if it may."""
    if found["migrations"] and not given["unmigrated"]:
        return (
            f"these migrations are not applied: {shortened(found['migrations'])}; apply them (manage.py migrate), or "
            "allow a restart without them with -e auth_restart_unmigrated=true"
        )
    if given["lose_tasks"]:
        return ""
    if found["lost"]:
        tasks = [f"{one['count']} of {one['task']} ({one['where']})" for one in found["lost"]]
        return (
            f"tasks wait that the installed code does not have, so that its workers would discard them: "
            f"{shortened(tasks)}; run it again once the workers have done them, or accept their loss with "
            "-e auth_restart_lose_tasks=true"
        )
    way_out = "restart all programs, without auth_restart_only, or accept that with -e auth_restart_lose_tasks=true"
    if found["new"]:
        return (
            "the workers that run on would discard tasks which the installed code may queue and they do not have: "
            f"{shortened(found['new'])}; {way_out}"
        )
    if found["gone"] and given["queueing"]:
        return (
            f"{' and '.join(given['queueing'])} would go on with the code of before and may queue tasks that the "
            f"installed code does not have, so that its workers would discard them: {shortened(found['gone'])}; "
            f"{way_out}"
        )
    return ""


def warnings(found: dict[str, Any]) -> list[str]:
    """Return what is to be said of the code that may come into service all the same."""
    said = []
    if found["errors"]:
        said.append(f"Django's check finds errors: {shortened(found['errors'])}")
    if found["unmet"]:
        said.append(f"requirements of packages are not met: {shortened(found['unmet'])}")
    said += found["unasked"]
    if found["unseen"]:
        said.append(
            f"the installed code does not have {shortened(found['unseen'])}, which the running workers have, and the "
            "broker is not Redis, so that nobody has looked whether such tasks wait"
        )
    if found["silent"]:
        said.append(
            f"{found['silent']}, and runs on with the code of before: it discards tasks of the installed code that it "
            "does not have"
        )
    if found["problem"]:
        said.append(f"the workers could not be asked for tasks that only they have: {found['problem']}")
    return said


def shortened(names: Sequence[str]) -> str:
    """Return the first of some names or sentences, and how many there are more."""
    more = len(names) - _MOST
    return "; ".join(names[:_MOST]) + (f"; and {more} more" if more > 0 else "")


def keep(module: AnsibleModule, host: str) -> None:
    """Remember the packages that are in service. By now all runs, so that no failure of it may undo that."""
    given = module.params
    broker = {**given["broker"], "sources": given["sources"]} if given["broker"] else {}
    try:
        code.keep(given["name"], given["venv"], pwd.getpwnam(given["user"]).pw_uid, broker)
    except (OSError, RuntimeError) as why:
        module.warn(
            f"{host}: the packages that are in service now could not be noted in {proof.FOLDER}, so that the next run "
            f"compares with older versions: {str(why).rstrip('.')}. Mend that; the next restart of all programs "
            "notes them."
        )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["checked", "kept"], "default": "checked"},
            "name": {"type": "str", "required": True},
            "nodes": {"type": "list", "elements": "str", "default": []},
            "staying": {"type": "list", "elements": "str", "default": []},
            "queueing": {"type": "list", "elements": "str", "default": []},
            "broker": {"type": "dict", "default": {}},
            "sources": {"type": "list", "elements": "dict", "default": []},
            "gunicorn": {"type": "str", "default": ""},
            "unmigrated": {"type": "bool", "default": False},
            "lose_tasks": {"type": "bool", "default": False},
            "before": {"type": "str", "choices": ["stop", "start"], "default": "stop"},
            **celery_cli.APPLICATION_SPEC,
            **guard.SPEC,
        },
        supports_check_mode=True,
    )
    supervisord.find_supervisor(module)
    if module.params["state"] == "checked":
        module.exit_json(changed=False, **check(module))
    with guard.as_owner(module):
        if not module.check_mode:
            keep(module, socket.gethostname())
    module.exit_json(changed=False)


def check(module: AnsibleModule) -> dict[str, Any]:
    """Return what the module returns, or end it with what is refused."""
    given, host = module.params, socket.gethostname()
    nothing = {"stop": "nothing was stopped", "start": "nothing was started"}[given["before"]]
    application = celery_cli.Application.configured(given, supervisord.MAIN_CONF)
    try:
        words = [given["project"], *given["nodes"], "--", *given["staying"]]
        found = application.ask(inspect.getsource(code_program), words, _SECONDS)
    except celery_cli.CannotAskError as why:
        elsewhere = celery_cli.no_redis(str(why))
        if elsewhere:
            module.fail_json(msg=f"{host}: {nothing}: {elsewhere}.")
        module.fail_json(
            msg=f"{host}: what is installed in {given['venv']} and {given['project_dir']} does not load, so "
            f"{nothing}: {str(why).rstrip('.')}."
        )
    problem = gunicorn_problem(application, given["gunicorn"]) if given["gunicorn"] else ""
    elsewhere = celery_cli.no_redis(problem)
    if elsewhere:
        module.fail_json(msg=f"{host}: {nothing}: {elsewhere}.")
    if problem:
        module.fail_json(
            msg=f"{host}: gunicorn cannot start with what is installed, so {nothing}: {problem.rstrip('.')}."
        )
    problem = refusal(given, found)
    if problem:
        module.fail_json(msg=f"{host}: {nothing}, for {problem}.")
    secrets = managed_file.secret_values(application.environment)
    for said in warnings(found):
        module.warn(f"{host}: {managed_file.redacted(said, secrets)}.")
    logs = supervisor_parser.worker_logs(supervisord.MAIN_CONF, given["project"]) if found["apart"] else []
    return {
        "apart": found["apart"],
        "queues": found["queues"] if tuple(found["celery"]) >= consumers.GIVES_BACK else [],
        "logs": {path: audit_logs.size_of(path) for path in logs},
        "since": time.time() if found["apart"] else 0.0,
    }


if __name__ == "__main__":
    main()
