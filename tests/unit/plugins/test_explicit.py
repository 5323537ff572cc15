# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible itself runs a role whose action tells which of its variables were set above the defaults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).parents[3]
DEFAULTS = {"auth_a": 10, "auth_b": "{{ auth_a }}", "auth_c": []}
CALL = {"ansible.builtin.import_role": {"name": "a_role"}}
INCLUDE = {"ansible.builtin.include_role": {"name": "a_role"}}
SET = {"auth_a": 10}

ACTION = """\
import json, pathlib
from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import explicit

class ActionModule(ActionBase):
    _requires_connection = False
    def run(self, tmp=None, task_vars=None):
        found = explicit.names(self._task, task_vars, ["auth_a", "auth_b", "auth_c"])
        path = pathlib.Path(task_vars["playbook_dir"]) / f"{task_vars['inventory_hostname']}.json"
        path.write_text(json.dumps(sorted(found)))
        return {"changed": False}
"""

# A play for each place in which auth_a may be set; the value is its default, but for the file that a play names.
PLAYS: dict[str, dict[str, Any]] = {
    "nowhere": {"roles": ["a_role"]},
    "nowhere_and_included": {"tasks": [INCLUDE]},
    "group_vars": {"roles": ["a_role"]},
    "host_vars": {"tasks": [INCLUDE]},
    "play": {"roles": ["a_role"], "vars": SET},
    "file_of_the_play": {"roles": ["a_role"], "vars_files": ["more.yml"]},
    "parameters": {"roles": [{"role": "a_role", **SET}]},
    "vars_of_the_role": {"roles": [{"role": "a_role", "vars": SET}]},
    "import": {"tasks": [{**CALL, "vars": SET}]},
    "include": {"tasks": [{**INCLUDE, "vars": SET}]},
    "block": {"tasks": [{"block": [CALL], "vars": SET}]},
    "fact": {"tasks": [{"ansible.builtin.set_fact": SET}, CALL]},
}
FILES: dict[str, Any] = {
    "hosts.yml": {"all": {"hosts": dict.fromkeys(PLAYS), "children": {"some": {"hosts": {"group_vars": None}}}}},
    "play.yml": [{"hosts": name, "gather_facts": False, **play} for name, play in PLAYS.items()],
    "group_vars/some.yml": SET,
    "host_vars/host_vars.yml": SET,
    "more.yml": {"auth_a": 11},
    "roles/a_role/defaults/main.yml": DEFAULTS,
    "roles/a_role/tasks/main.yml": [{"name": "Tell", "tell": None}],
}


def run(folder: Path, *arguments: str) -> dict[str, list[str]]:
    """Run the plays; return what was found to be set, by host."""
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(yaml.safe_dump(content))
    (folder / "action_plugins").mkdir(exist_ok=True)
    (folder / "action_plugins/tell.py").write_text(ACTION)
    # An action needs a module of its name for ansible-core to find it.
    (folder / "library").mkdir(exist_ok=True)
    (folder / "library/tell.py").touch()
    subprocess.run(
        [f"{sys.exec_prefix}/bin/ansible-playbook", "-i", "hosts.yml", "play.yml", *arguments],
        cwd=folder,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".cache/collections")},
        check=True,
        stdout=subprocess.PIPE,
    )
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in PLAYS}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return run(tmp_path_factory.mktemp("plays"))


@pytest.mark.parametrize("place", PLAYS)
def test_a_variable_that_was_set_to_its_default_is_set(found: dict[str, list[str]], place: str) -> None:
    assert found[place] == ([] if place.startswith("nowhere") else ["auth_a"])


def test_an_extra_variable_is_set(tmp_path: Path) -> None:
    assert run(tmp_path, "-e", '{"auth_c": []}')["nowhere"] == ["auth_c"]
