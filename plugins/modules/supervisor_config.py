#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: supervisor_config
short_description: Put a supervisor configuration in place if the daemon's parser accepts it
version_added: 0.1.0
description:
  - Writes a file that supervisord includes, and the link that leads to it.
  - The whole configuration is read by supervisor's own parser with the new file in it first.
    If the parser refuses it, the module fails with its sentence and touches nothing.
  - The same holds if a command cannot be executed, a folder is missing, a log cannot be written, or another file has
    a program of the same name.
  - If the new file would change what somebody has chosen in the present one, and no variable that was set asks for it,
    the run stops with a table of these changes and the variables that keep them, before anything is touched. For that
    it has to be called in check mode first.
  - The file is replaced atomically. What was there before is kept beside it, dated.
  - Nothing is restarted or reloaded.
options:
  path:
    description: The file to write.
    type: path
    required: true
  content:
    description: The file's sections. One of this and O(restore) is needed.
    type: str
  environments:
    description:
      - The values of C(environment) options by program, as a JSON object. They may be secrets, so they are not shown.
      - Each replaces C(<environment of PROGRAM>) in O(content).
      - If it is left out, it comes from the variables of the role C(auth).
    type: str
  restore:
    description:
      - Put a file back that was kept before, instead of O(content).
      - The name of one of those beside O(path), or V(newest). That is the newest one that differs from what is there
        now, and was not put in place by a run that was cut off.
      - V(list) changes nothing, and returns RV(backups).
      - V(absent) removes O(path) and O(link), because there was nothing before.
      - V(first) has both as before the role's first run, with owners and modes. If that is not kept any more, the
        present file takes the installation guide's place and logs where that has them; O(first) says where.
    type: str
  first:
    description:
      - For O(restore=first), the project's C(name) and C(project_dir), its C(user), the role's C(log_dir) and
        C(gunicorn_conf).
    type: dict
    default: {}
  keep:
    description: Whether to keep what is there now.
    type: bool
    default: true
  link:
    description:
      - A link that shall lead to O(path).
      - A file that is there instead is kept beside it, dated.
    type: path
    required: true
  log_dir:
    description:
      - A folder for logs that need not exist yet, because another task makes it.
    type: path
    default: ""
  discard:
    description:
      - What may go of that which is in the file by hand. C(program:NAME) is a section, C(program:NAME.OPTION) an option
        or environment variable and C(program:NAME --ARGUMENT) an argument of its command.
    type: list
    elements: str
    default: []
  pending:
    description: Commands that need not exist yet, because a later task brings them.
    type: list
    elements: path
    default: []
  application:
    description:
      - A project that has to load as its programs will load it, or the file is not put in place; with the keys C(venv),
        C(project), C(project_dir) and C(user). A restart of what does not load any more would end it.
    type: dict
    default: {}
  owner:
    description: The file's owner.
    type: str
    default: root
  group:
    description: The file's group, which may read it.
    type: str
    default: root
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
  - allianceauth.tuning.attributes
  - allianceauth.tuning.guard
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: Put the previous configuration back
  allianceauth.tuning.supervisor_config:
    path: /etc/supervisor/conf.d/myauth.conf
    restore: newest
    link: /home/allianceserver/myauth/supervisor.conf
    group: allianceserver

- name: Put the configuration in place
  allianceauth.tuning.supervisor_config:
    path: /etc/supervisor/conf.d/myauth.conf
    content: "{{ decided.plan.files.content }}"
    link: /home/allianceserver/myauth/supervisor.conf
    group: allianceserver
"""

RETURN = r"""
restored:
  description: The kept file that was put back, or with O(restore=first) C(noted), C(present) or C(nothing).
  returned: O(restore) is given
  type: str
value_changes:
  description:
    - What the new file says otherwise than the one that is there, by meaning; no values of environments.
    - Each with its C(section), C(item), what it is C(now) and C(then), whether it was C(chosen) by somebody, the
      variables (paths and values) that keep it (C(keeps)), and the C(reason) if the role changes it on purpose.
  returned: always
  type: list
  elements: dict
waiting:
  description:
    - What the project says of tasks that wait for their time, as far as it can be asked. The C(default_queue), how many
      of them a worker process holds at most (C(eta_limit)), how many a model update queues (C(countdown), with C(tasks)
      and C(seconds)), the queues that tasks are sent to (C(routed)), and the C(broker), with its C(address), and the
      C(identity) that all who use it see.
  returned: O(application) is given
  type: dict
beat_broker:
  description: The identity of the broker that a beat is to use, empty if the role's variables have none there.
  returned: O(application) is given
  type: str
kept:
  description: The files that hold what was there before.
  returned: always
  type: list
  elements: str
undo:
  description: What O(restore) takes to have the file as it was before, empty if its text is the same.
  returned: something changed, and O(keep)
  type: str
backups:
  description:
    - What can be gone back to, the newest last. Each has its C(file), whether it has C(proven) itself, and how it
      C(differs) from what is there now, line by line.
  returned: O(restore=list)
  type: list
  elements: dict
"""

import configparser
import grp
import inspect
import json
import os
import pwd
import xmlrpc.client
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import (
    backup_name,
    description,
    managed_file,
    manual_changes,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    adoption,
    audit_program,
    backups,
    celery_cli,
    files,
    guard,
    origin,
    preflight,
    project,
    proof,
    supervisor_parser,
    supervisord,
)


def file_is_right(path: str, content: str, uid: int, gid: int) -> bool:
    """Whether ``path`` is a plain file with this content, these owners and `managed_file.MODE`."""
    if os.path.islink(path) or files.read(path) != content:
        return False
    status = os.stat(path)
    return (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (uid, gid, managed_file.MODE)


def link_is_right(link: str, path: str) -> bool:
    """Whether ``link`` is a link to ``path``."""
    return os.path.islink(link) and os.readlink(link) == path


def to_restore(module: AnsibleModule) -> str:
    """Return the kept file that is asked for."""
    given = module.params
    try:
        return backups.choose(given["path"], given["restore"], given["guard"].get("name", ""))
    except backups.NoneError as why:
        module.fail_json(msg=f"{why}.")


def check(given: dict[str, Any], content: str) -> tuple[list[str], dict[str, Any]]:
    """Return a sentence for each reason not to put the new file in place, and what the project says of itself."""
    path, link = given["path"], given["link"]
    try:
        overlay = supervisor_parser.overlay_for(path, link, content, given["log_dir"])
        after = supervisor_parser.effective(supervisord.MAIN_CONF, overlay)
    except supervisor_parser.InvalidError as why:
        return [f"supervisor refuses the configuration with the new file in it: {why}"], {}
    if not {path, link} & set(after["sections"]):
        return [f"supervisord includes neither {path} nor {link}, see [include] in {supervisord.MAIN_CONF}"], {}
    names = description.sections(content)
    ours = {name.partition(":")[2] for name in names}
    processes = [process for group in after["groups"] if group["name"] in ours for process in group["processes"]]
    listeners = [
        process
        for group in after["groups"]
        if group["listener"] and group["name"] in ours
        for process in group["processes"]
    ]
    limits = [name for process in processes for name in memmon.watched(split_command(process["command"]))]
    before = present()
    is_loaded = bool({path, link} & set(before["sections"]))
    found = preflight.defined_twice(after["sections"], (path, link), names, is_loaded)
    found += memmon.ambiguous(after["groups"], limits)
    # A program that could not start before need not be able to when we go back to it.
    if not given["restore"]:
        found += preflight.obstacles(processes, given["pending"])
        found += preflight.unable_to_connect(listeners, after["sockets"]) + preflight.lost_mail(listeners)
        found += locked_out(given, before, after)
    return (found, {}) if found or not given["application"] else loaded(given["application"], overlay)


def present() -> dict[str, Any]:
    """Return what `supervisor_parser.effective` makes of the present files, with nothing in it if it refuses them."""
    try:
        return supervisor_parser.effective(supervisord.MAIN_CONF)
    except supervisor_parser.InvalidError:
        return {"sections": {}, "sockets": []}


def locked_out(given: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return a sentence for each user or group whom the new file would keep from a control socket."""
    place = next(filter(sets_owner, [*reversed(list(before["sections"])), supervisord.MAIN_CONF]), "")
    is_own = place in (given["path"], given["link"])
    # What the role has given before, it may take back.
    if is_own and managed_file.is_unchanged(files.readable(place) or ""):
        return []
    return preflight.locked_out(before["sockets"], after["sockets"], place, given["group"], is_own)


def sets_owner(path: str) -> bool:
    """Whether a configuration file says whose the control socket is."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    try:
        parser.read_string(files.readable(path) or "")
    except configparser.Error:
        return False
    return parser.has_option("unix_http_server", "chown")


def value_changes(given: dict[str, Any], before: str | None, content: str) -> list[dict[str, Any]]:
    """Return what the new file says otherwise; nothing when going back, which is meant to undo what came since."""
    if before is None or given["restore"]:
        return []
    path = given["path"] if os.path.lexists(given["path"]) else given["link"]
    known = {**adoption.expansions(daemon_pid()), "here": os.path.dirname(path)}
    gunicorn = description.describe(before, known=known).programs.get("gunicorn")
    found = manual_changes.changes(
        before,
        content,
        given["discard"],
        known=known,
        elsewhere=elsewhere(given["path"], given["link"]),
        gunicorns_file=project.given_by_gunicorns_file(gunicorn) if gunicorn and gunicorn.kind == "gunicorn" else {},
    )
    return [change.as_dict() for change in found]


def elsewhere(*ours: str) -> dict[str, dict[str, str]]:
    """Return the sections of the files that supervisord loads besides ours, with their options."""
    own = set(map(os.path.realpath, ours))
    paths = [supervisord.MAIN_CONF, *present()["sections"]]
    return adoption.sections_of(path for path in paths if os.path.realpath(path) not in own)


def daemon_pid() -> int:
    """Return the number of the running supervisord, whose environment its files may use; 0 if there is none."""
    try:
        return supervisord.Daemon().pid()
    except supervisord.NotAnsweringError:
        return 0


def unreadable_line(why: configparser.Error) -> int:
    """Return the line that cannot be read. Its text is not for a message: it may hold a secret."""
    errors = getattr(why, "errors", None) or [(getattr(why, "lineno", 1), "")]
    return int(errors[0][0])


def loaded(given: dict[str, Any], overlay: supervisor_parser.Overlay) -> tuple[list[str], dict[str, Any]]:
    """Return a sentence if the project would not come back from a restart, and what it says of waiting tasks."""
    application = celery_cli.Application.configured(given, supervisord.MAIN_CONF, overlay)
    problem, waiting = application.load(inspect.getsource(audit_program))
    if not problem:
        return [], waiting
    sentence = celery_cli.no_redis(problem) or (
        f"{given['project']} does not load any more, so that nothing would come back from a restart: "
        f"{problem.rstrip('.')}; repair it in {given['project_dir']} first"
    )
    return [sentence], {}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "content": {"type": "str"},
            "environments": {"type": "str", "no_log": True},
            "restore": {"type": "str"},
            "first": {"type": "dict", "default": {}},
            "keep": {"type": "bool", "default": True},
            "link": {"type": "path", "required": True},
            "discard": {"type": "list", "elements": "str", "default": []},
            "pending": {"type": "list", "elements": "path", "default": []},
            "log_dir": {"type": "path", "default": ""},
            "application": {"type": "dict", "default": {}},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            **guard.SPEC,
        },
        required_one_of=[["content", "restore"]],
        supports_check_mode=True,
    )
    supervisord.find_supervisor(module)
    with guard.as_owner(module):
        work(module)


def work(module: AnsibleModule) -> None:
    """Do what is asked for, and end with the result."""
    result: dict[str, Any] = {"kept": []}
    if module.params["restore"] == "list":
        found = backups.before(module.params["path"], module.params["guard"].get("name", ""))
        module.exit_json(changed=False, backups=found, **result)
    if module.params["restore"] == "absent":
        remove(module)
    if module.params["restore"] == "first":
        give_back(module)
    if module.params["restore"]:
        result["restored"] = to_restore(module)
        content = files.readable(result["restored"]) or module.fail_json(msg=f"{result['restored']} cannot be read.")
    else:
        # Not into module.params, which are shown.
        content = managed_file.complete(module.params["content"], json.loads(module.params["environments"] or "{}"))
    path = module.params["path"]
    try:
        before = files.read(path)
    except OSError as why:
        module.fail_json(
            msg=f"{path} leads to what its folder's owner cannot read ({why.strerror}), so that it is not read here "
            "either; put a file there."
        )
    result["changed"] = not (
        file_is_right(path, content, *owners(module.params)) and link_is_right(module.params["link"], path)
    )
    result["diff"] = [
        {
            "before": managed_file.shown(before or ""),
            "after": managed_file.shown(content),
            "before_header": path,
            "after_header": path,
        },
    ]
    by_hand = files.readable(module.params["link"]) if before is None else before
    try:
        result["value_changes"] = value_changes(module.params, by_hand, content)
    except configparser.Error as why:
        module.fail_json(
            msg=f"{path} was not replaced: what would change cannot be told, because supervisor cannot read line "
            f"{unreadable_line(why)} of the present file; repair it, or move it away."
        )
    # Also when the file stays: a neighbour that is broken would end the daemon at its next start.
    problems, result["waiting"] = check(module.params, content)
    if problems:
        module.fail_json(msg=f"{path} was not replaced: {'; '.join(problems)}.")
    if result["changed"] and not module.check_mode:
        try:
            put_in_place(module, before, content, result)
        except OSError as why:
            module.fail_json(
                msg=f"{why.strerror} while writing {why.filename or path}; the configuration is as it was."
            )
    module.exit_json(**result)


def owners(given: dict[str, Any]) -> tuple[int, int]:
    """Return the numbers of the user and the group whose file it shall be."""
    return pwd.getpwnam(given["owner"]).pw_uid, grp.getgrnam(given["group"]).gr_gid


def put_in_place(module: AnsibleModule, before: str | None, content: str, result: dict[str, Any]) -> None:
    """Put file and link in place; the result says what was kept, and how to undo it."""
    given = module.params
    path, link, (uid, gid) = given["path"], given["link"], owners(given)
    stamp, restored = backup_name.now(), result.get("restored", "")
    # In the guide's layout path leads to the file at link: that is kept already.
    same = os.path.exists(link) and os.path.exists(path) and os.path.samefile(link, path)
    # supervisord may have loaded what the link leads to: then a copy is kept here, where root alone can change it.
    was = files.readable(link) if before is None else before
    if was not in (None, content) and given["keep"]:
        if is_running(was):
            # A run without the tag verify has brought it into service as well: it counts if all runs with it.
            proof.passed(given["guard"].get("name", ""), was)
        result["kept"].append(files.keep(path, was, stamp, uid, gid))
    if given["keep"]:
        result["undo"] = "absent" if was is None else "".join(map(os.path.basename, result["kept"]))
    with files.put_back_on_error(path):
        if not file_is_right(path, content, uid, gid):
            backup = "".join(result["kept"])
            guard.unproven(
                module, was, {"path": path, "backup": backup, "uid": uid, "gid": gid, "mode": managed_file.MODE}
            )
            if given["guard"].get("name"):
                origin.note(given["guard"]["name"], path, link)
            if not restored and given["guard"].get("name"):
                proof.begin(given["guard"]["name"], content)
            files.replace_file(path, content, uid, gid, restored)
        if not link_is_right(link, path):
            result["kept"] += files.put_link(link, path, "" if same else backup_name.hidden(link, stamp))


def is_running(text: str) -> bool:
    """Whether supervisord has loaded this file, which is on disk, and all its programs run."""
    try:
        names = {section.partition(":")[2] for section in description.sections(text)}
        daemon = supervisord.Daemon()
        differing = {name for groups in daemon.drift().values() for name in groups}
        states = {process.state for process in daemon.processes() if process.group in names}
    except (configparser.Error, supervisord.NotAnsweringError, xmlrpc.client.Fault):
        return False
    return states == {"RUNNING"} and not names & differing


def remove(module: AnsibleModule) -> None:
    """Have neither the file nor the link, as before the first run, and end with the result."""
    path, link = module.params["path"], module.params["link"]
    there = [one for one in (path, link) if os.path.lexists(one) and (one == path or link_is_right(link, path))]
    try:
        for one in [] if module.check_mode else there:
            files.remove(one)
    except OSError as why:
        module.fail_json(msg=f"{why.strerror} while removing {why.filename or path}.")
    module.exit_json(changed=bool(there), kept=[], restored="absent")


def give_back(module: AnsibleModule) -> None:
    """Have the file and the link as before the first run, and end with the result."""
    given = module.params
    path, user = given["path"], pwd.getpwnam(given["first"]["user"])
    places = {"path": path, "link": given["link"], "uid": user.pw_uid, "gid": user.pw_gid}
    first, now = origin.find({**given["first"], **places}), files.readable(path)
    restored, changed = first.kept or first.source, not first.in_place()
    texts = {"before": managed_file.shown(now or ""), "after": managed_file.shown(first.text or "")}
    result: dict[str, Any] = {
        "changed": changed,
        "kept": [],
        "restored": restored,
        "diff": [{**texts, "before_header": path, "after_header": path}] if changed else [],
    }
    problems = check(given, first.text)[0] if first.text is not None and changed else []
    if problems:
        module.fail_json(msg=f"{path} was not replaced: {'; '.join(problems)}.")
    if changed and not module.check_mode:
        uid, gid = owners(given)
        try:
            if now is not None:
                result["kept"] = [files.keep(path, now, backup_name.now(), uid, gid)]
            result["undo"] = "absent" if now is None else os.path.basename(result["kept"][0])
            file = {"path": path, "backup": "".join(result["kept"]), "uid": uid, "gid": gid, "mode": managed_file.MODE}
            guard.unproven(module, now, file)
            with files.put_back_on_error(path):
                origin.give_back(first)
        except OSError as why:
            module.fail_json(
                msg=f"{why.strerror} while writing {why.filename or path}; the configuration is as it was."
            )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
