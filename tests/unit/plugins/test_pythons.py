# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's Python that ansible-core does not support is named at the start of a run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.release import __version__ as ansible_core
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import pythons

CHECKOUT = Path(__file__).parents[3]
TASKS = CHECKOUT / "roles/auth/tasks"
# Of the Pythons that this collection is tested with. Source: ansible-core's support matrix.
SUPPORTED = {"2.16": (9, 12), "2.17": (9, 12), "2.18": (9, 13), "2.19": (9, 13), "2.20": (9, 14), "2.21": (9, 14)}


def test_ansible_core_says_which_pythons_it_supports() -> None:
    release = ".".join(ansible_core.split(".")[:2])
    assert pythons.supported() == SUPPORTED[release]


def test_the_sentence_names_both_versions_and_the_way_out() -> None:
    lowest, highest = pythons.supported()
    for minor in (8, highest + 1):
        said = pythons.unsupported("auth1", f"3.{minor}.2")
        assert said.startswith(f"auth1: ansible-core {ansible_core}")
        assert f"supports Python 3.{lowest} to 3.{highest} on servers" in said
        assert f"this one has 3.{minor}." in said
        assert "README" in said
    assert pythons.unsupported("auth1", "2.7.18")
    assert not [minor for minor in range(lowest, highest + 1) if pythons.unsupported("auth1", f"3.{minor}.0+")]
    assert not pythons.unsupported("auth1", "")


def tasks(entries: list[dict[str, Any]], folder: Path, job: str = "") -> Iterator[dict[str, Any]]:
    """Return tasks of the role in their order, in the place of blocks, imports and includes what they lead to."""
    for task in entries:
        named = task.get("ansible.builtin.import_tasks") or task.get("ansible.builtin.include_tasks")
        if "block" in task:
            yield from tasks(task["block"], folder, job)
        elif isinstance(named, str):
            given = task.get("vars", {}).get("__auth_job", job)
            # Of two jobs, that which is not only a list.
            file = named.replace("{{ __auth_job }}", "rollback" if "{{" in given else given)
            file_there = folder / file if (folder / file).is_file() else TASKS / file
            yield from tasks(yaml.safe_load(file_there.read_text()), file_there.parent, given)
        else:
            yield task


def first_modules() -> dict[str, str]:
    """Return for each file of tasks that a playbook begins with the first module that it calls on a server."""
    found = {}
    for file in sorted(TASKS.glob("*.yml")):
        # It is imported by others.
        if file.name == "job.yml":
            continue
        words = (word for task in tasks(yaml.safe_load(file.read_text()), TASKS) for word in task)
        found[file.stem] = next(word for word in words if word.count(".") == 2 and not word.endswith(".set_fact"))
    return found


def ansible(interpreter: Path, text: str, module: str) -> subprocess.CompletedProcess[str]:
    """Call a module on this machine with an interpreter of that text."""
    interpreter.write_text(text)
    interpreter.chmod(0o755)
    given = ["localhost", "--connection=local", f"--extra-vars=ansible_python_interpreter={interpreter}"]
    return subprocess.run(
        [f"{Path(sys.executable).parent}/ansible", *given, f"--module-name={module}"],
        cwd=CHECKOUT,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".cache/collections"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_job_is_looked_at() -> None:
    assert {file.stem for file in CHECKOUT.glob("playbooks/*.yml")} == {
        {"main": "apply"}.get(name, name) for name in first_modules()
    }


@pytest.mark.parametrize("module", sorted(set(first_modules().values())))
def test_the_sentence_takes_the_place_of_a_traceback(tmp_path: Path, module: str) -> None:
    """The interpreter dies of whatever it is given, as one does that is too old, and says that it is Python 3.7."""
    text = '#!/bin/sh\n[ "$1" = --version ] && exec echo Python 3.7.16\necho SyntaxError >&2; exit 1\n'
    done = ansible(tmp_path / "python", text, module)
    assert done.returncode != 0
    assert f'"msg": "{pythons.unsupported("localhost", "3.7.16")}"' in done.stdout


def test_what_works_nevertheless_gets_a_warning(tmp_path: Path) -> None:
    """The interpreter is this one, and says that it is Python 3.99."""
    text = f'#!/bin/sh\n[ "$1" = --version ] && exec echo Python 3.99.0\nexec {sys.executable} "$@"\n'
    done = ansible(tmp_path / "python", text, "allianceauth.tuning.auth_python")
    assert done.returncode == 0
    # In lines of a terminal's width.
    assert "this one has 3.99." in " ".join(done.stderr.split())


def test_what_fails_by_itself_keeps_its_sentence(tmp_path: Path) -> None:
    text = f'#!/bin/sh\n[ "$1" = --version ] && exec echo Python 3.7.16\nexec {sys.executable} "$@"\n'
    done = ansible(tmp_path / "python", text, "allianceauth.tuning.celery_call")
    assert done.returncode != 0
    assert "missing required arguments" in done.stdout
    assert "3.7.16" not in done.stdout + done.stderr
