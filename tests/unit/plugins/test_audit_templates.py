# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit finds in the supervisor.conf that each version of Alliance Auth generates, from its wheel on PyPI."""

from __future__ import annotations

import getpass
import re
import zipfile
from pathlib import Path
from typing import Any

import jinja2
import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import outside, sections, variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit import audit
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import audit_projects
from ansible_collections.allianceauth.tuning.plugins.modules import auth_audit_info
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import role

from tests.unit.plugins import looks
from tests.unit.plugins.wheels import VERSIONS, wheel

CHECKOUT = Path(__file__).parents[3]
ROLE = CHECKOUT / "roles/auth"

# In all of them: gunicorn is stopped by INT, and each program has stdout and stderr in one file.
ALL = {("medium", "gunicorn-aborts-requests"), ("low", "shared-log")}
# From 4.0 on the worker has a node name and memmon limits.
NAMED = {("low", "node-name-without-host"), ("medium", "limit-counts-one-process")}
NO_LIMIT = {("medium", "worker-without-limit")}

EXPECTED = {
    "2.15.1": ALL | NO_LIMIT,
    "3.8.1": ALL | NO_LIMIT,
    "4.6.4": ALL | NAMED,
    "4.13.1": ALL | NAMED,
    # There memmon knows nothing of the worker for the queue services.
    "5.0.1": ALL | NAMED | NO_LIMIT,
    "5.5.0": ALL | NAMED | NO_LIMIT | {("high", "limit-without-process")},
}


def generated(version: str, project: Path) -> str:
    """Generate a project's supervisor.conf and celery.py as `allianceauth start` does; return the first."""
    values = {
        "project_name": "myauth",
        "project_directory": str(project),
        "venv_directory": looks.VENV,
        **{name: f"{looks.VENV}/bin/{name}" for name in ("celery", "gunicorn", "memmon")},
    }
    (project / "log").mkdir()
    (project / "myauth").mkdir()
    (project / "manage.py").touch()
    with zipfile.ZipFile(wheel("allianceauth", version)) as archive:

        def render(name: str) -> str:
            # Django's language of templates, of which this is the part that both have.
            text = archive.read(f"allianceauth/project_template/{name}").decode()
            return str(jinja2.Template(text).render(values))

        (project / "myauth/celery.py").write_text(render("project_name/celery.py"))
        # The parser asks for the user.
        return re.sub(r"(user ?= ?|AA_USER = )allianceserver", rf"\g<1>{getpass.getuser()}", render("supervisor.conf"))


def seen(content: str, parser: Any) -> dict[str, Any]:
    """Return a look at a server that has this file and nothing else wrong; nothing runs, and nobody can be asked."""
    (answer,) = parser.read([content])
    effective = answer["result"]
    processes = audit_projects.processes(effective, {"processes": []})
    for process in processes:
        process.update(busy=0.0, longest_task=None)
    projects = audit_projects.discover(processes, effective["sections"])
    for one in projects:
        # What celery.py says is all that is known.
        one.update(asked={}, settings=[])
    return {
        **looks.good(),
        "processes": processes,
        "projects": projects,
        "limits": auth_audit_info.limits(processes),
        "sockets": {"files": [], "ports": []},
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_exactly_what_is_wrong_with_a_template_is_found(version: str, tmp_path: Path, parser: Any) -> None:
    look = seen(generated(version, tmp_path), parser)
    assert [(one["name"], one["directory"]) for one in look["projects"]] == [("myauth", str(tmp_path))]
    found = [(one.severity, one.rule) for one in audit.findings({"auth1": look})["auth1"]]
    assert len(found) == len(set(found))
    assert set(found) == EXPECTED[version]


def test_a_worker_that_a_template_lacks_is_missed(tmp_path: Path, parser: Any) -> None:
    """The upgrade to 5.0 brings a queue; whoever keeps the file of before has no worker for it."""
    look = seen(generated("4.13.1", tmp_path), parser)
    look["projects"][0]["routed_queues"] = ["services"]
    found = [one for one in audit.findings({"auth1": look})["auth1"] if one.severity == "high"]
    assert [(one.rule, one.subject) for one in found] == [("queue-without-worker", "services")]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"auth_worker_numprocs": 4, "auth_worker_pool": "prefork", "auth_worker_concurrency": 3},
        {"auth_gunicorn_memory_limit": "1GB", "auth_beat_memory_limit": "512MB"},
        {"auth_workers": [{"name": "mails", "queues": ["mails"], "memory_limit": "1GB"}]},
    ],
)
def test_what_the_role_writes_is_good(
    asked: dict[str, Any], defaults: dict[str, Any], tmp_path: Path, parser: Any
) -> None:
    """apply decides by other code than audit: what the one writes, the other has to be content with."""
    generated("5.5.0", tmp_path)
    places = {"auth_project_dir": str(tmp_path), "auth_log_dir": f"{tmp_path}/log"}
    users = dict.fromkeys(("auth_user", "auth_memmon_user"), getpass.getuser())
    given = {**defaults, **places, **users, "auth_worker_memory_limit": "512MB", **asked}
    declared, refusals = variables.declare(given, "auth1", ["services"])
    assert refusals == []
    # What the server has beside: nothing that the file depends on.
    info = {
        "venv": {"template_environment": True, "gunicorn_control_socket": True},
        "user": {"group": "root", "gid": 0},
        "own_gunicorn_conf": False,
    }
    text = role.render(
        (ROLE / "templates/supervisor.conf.j2").read_text(), sections.context(declared, info, "/etc/gunicorn.py")
    )
    look = seen(text, parser)
    told = {"stop_seconds": 90.0, "set_by": "", "drop_in": "", "needrestart": "", "has_needrestart": False}
    look["unit"]["stop_seconds"] = outside.decide(declared, {"unit": True, "outside": told}).seconds
    assert audit.findings({"auth1": look})["auth1"] == []
    # A second less would be too little for both.
    look["unit"]["stop_seconds"] -= 1
    assert [one.rule for one in audit.findings({"auth1": look})["auth1"]] == ["unit-stops-too-early"]
