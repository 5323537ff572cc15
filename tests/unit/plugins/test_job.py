# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several jobs in one run: no job takes what an earlier one has found for its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.unit import playbook

TASKS = Path(__file__).parents[3] / "roles/auth/tasks"
SET_FACT = "ansible.builtin.set_fact"


def tasks_in(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Return the tasks of a file, those in blocks included."""
    for task in tasks:
        yield task
        for key in ("block", "rescue", "always"):
            yield from tasks_in(task.get(key, []))


def test_the_guard_is_set_before_anything_that_takes_long() -> None:
    """It alone gives the lock of a run that was cut off back, whichever of its tags that run has."""
    _preflight, change = yaml.safe_load((TASKS / "jobs/change.yml").read_text())
    guard, *others = change["block"]
    assert guard["ansible.builtin.import_tasks"] == "../steps/guard.yml"
    changing = [task for task in others if task["tags"] != ["verify"]]
    assert len(changing) > 5
    assert set(guard["tags"]) == {tag for task in changing for tag in task["tags"]}


def test_a_job_forgets_each_variable_that_a_task_leaves() -> None:
    forgets, *_others = yaml.safe_load((TASKS / "job.yml").read_text())
    left: set[str] = set()
    for file in TASKS.glob("**/*.yml"):
        for task in tasks_in(yaml.safe_load(file.read_text())):
            left |= {task["register"]} if "register" in task else set()
            left |= set(task.get(SET_FACT, {})) if task != forgets else set()
    assert len(left) > 30
    assert set(forgets[SET_FACT]) == left
    assert not any(forgets[SET_FACT].values())


def test_no_task_asks_whether_such_a_variable_is_defined() -> None:
    """It always is."""
    text = "".join(file.read_text() for file in TASKS.glob("**/*.yml"))
    assert re.findall(r"__auth_\w+ is (?:not )?defined", text) == []


PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    # What a job before it has left: it drained and told of it, and another one failed and was rescued.
    - ansible.builtin.set_fact:
        __auth_cause: the cause of before
        __auth_decided: {failed: true, msg: the decision of before}
        __auth_info: {now: 1}
        __auth_ended: {looked_at: 1}
    - ansible.builtin.import_role: {name: allianceauth.tuning.auth, tasks_from: start}
"""


def test_the_cause_is_not_that_of_an_earlier_job(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(PLAY)
    # No Python with supervisor is found, and nobody is asked: the first look fails.
    variables = {"auth_project": "nosuchproject", "ansible_python_interpreter": "/nonexistent/python"}
    words = ["-i", "localhost,", "--check", "play.yml", "-e", json.dumps(variables)]
    done = playbook.run(tmp_path, *words, ANSIBLE_SHOW_CUSTOM_STATS="1")
    assert done.returncode != 0
    said = done.stdout[done.stdout.index("CUSTOM STATS") :]
    assert '"result": "failed"' in said
    assert "of before" not in said
