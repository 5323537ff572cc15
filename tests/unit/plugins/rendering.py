# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that the role writes for some variables, without a server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import sections, variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import project
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import role

TEMPLATE = (Path(__file__).parents[3] / "roles/auth/templates/supervisor.conf.j2").read_text()
GUNICORN_CONF = "/etc/supervisor/a folder/50%.gunicorn.py"


def look(given_variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return what auth_info says of a server that has all that these variables name, and as much memory."""
    folder = str(given_variables["auth_project_dir"])
    return {
        "unit": True,
        "outside": {"stop_seconds": None, "set_by": "", "drop_in": "", "needrestart": "", "has_needrestart": False},
        "hostname": "host",
        "user": project.user(str(given_variables["auth_user"])),
        "project_exists": os.path.isdir(os.path.join(folder, "log")),
        "log_dir_exists": True,
        "log_links": {},
        "own_gunicorn_conf": None,
        "named_gunicorn_conf": None,
        "venv": {
            "exists": True,
            "programs": ["celery", "gunicorn", "memmon", "pip", "python"],
            "versions": {"gevent": "1", "eventlet": "1"},
            "gunicorn_control_socket": True,
            "template_environment": True,
        },
        "now": 0.0,
        "memory_total": 2**60,
        "memory_available": 2**60,
        "log": {"since": None, "restarts": {}},
        "routed_queues": ["services"],
        "orphans": [],
        "serving": [],
        "daemon": {"processes": [], "drift": {}, "sockets": []},
        "effective": {"groups": []},
        "expected": [],
    }


def render(declared: Declared, info: dict[str, Any]) -> str:
    return role.render(TEMPLATE, sections.context(declared, info, GUNICORN_CONF))


def complete(text: str, given_variables: dict[str, Any], declared: Declared) -> str:
    """Return the file as supervisor_config writes it."""
    return managed_file.complete(
        text, variables.environments(given_variables, [program.name for program in declared.programs])
    )
