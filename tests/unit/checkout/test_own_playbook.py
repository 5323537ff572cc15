# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that is copied from the documentation says in the role's own sentence what is wrong with a value."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.machine.paths import CHECKOUT
from tests.unit import playbook
from tests.unit.plugins.planning import INFO

# The first is text that the role takes, and the second a misspelt key: ansible-core would refuse both.
GIVEN = {"auth_worker_loglevel": "INFO", "auth_workers": [{"name": "a", "queue": ["a"]}]}


def examples() -> dict[str, list[dict[str, Any]]]:
    """Return the plays of both pages; what is an item of a play's tasks alone has the first play around it."""
    role = (CHECKOUT / "roles/auth/README.md").read_text()
    page = (CHECKOUT / "docs/playbooks.md").read_text()
    page = page[page.index("## In a playbook of your own") :]
    texts = [*re.findall(r"```yaml\n(.*?)```", page, re.DOTALL), *re.findall(r"(?m)(?:^ {4}.*\n)+", role)]
    found = [yaml.safe_load(textwrap.dedent(text)) for text in texts]
    first = found[0][0]
    plays = [given if "hosts" in given[0] else [{**first, "tasks": given}] for given in found]
    return dict(zip(("a run", "an entry point", "the role's page"), plays, strict=True))


@pytest.mark.parametrize("name", examples())
def test_it_says_in_one_sentence_what_is_wrong(name: str, tmp_path: Path) -> None:
    (play,) = examples()[name]
    assert play["become"]
    assert [task["ansible.builtin.import_role"]["rolespec_validate"] for task in play["tasks"]] == [False]
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    (tmp_path / "hosts.yml").write_text("auth_servers: {hosts: {auth1: {ansible_connection: local}}}")
    # In place of a server: whatever module is sent, the answer is that of a look at one.
    look = {**INFO, "routed_queues": [], "python": "3.13.5", "changed": False}
    (tmp_path / "look.json").write_text(json.dumps(look))
    (tmp_path / "python").write_text(f"#!/bin/sh\n[ -t 0 ] || cat > /dev/null\ncat {tmp_path}/look.json\n")
    (tmp_path / "python").chmod(0o755)
    given = {**GIVEN, "ansible_become": False, "ansible_python_interpreter": f"{tmp_path}/python"}
    done = playbook.run(tmp_path, "-i", "hosts.yml", "play.yml", "--check", "-e", json.dumps(given))
    assert done.returncode != 0
    sentence = "auth1: auth_workers[0].queue is ['a']: no pool has such a key (did you mean queues?)."
    fatal = re.findall(r"(?m)^fatal: \[auth1\]: .* => (\{.*\})$", done.stdout)
    assert {str(json.loads(result)["msg"]) for result in fatal} == {sentence}
    assert "argument_spec" not in done.stdout
    assert "auth_worker_concurrency" not in done.stdout
