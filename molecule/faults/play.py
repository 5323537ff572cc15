# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's playbooks, run beside a fault."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

from shared import playbook

# Longer than any run here takes, on a slow machine too: one that hangs fails its test.
_SECONDS = 600


def start(name: str, *arguments: str, **variables: Any) -> subprocess.Popen[str]:
    """Begin a run of `allianceauth.tuning.NAME`, with extra variables as their types are."""
    # The log is for Molecule's steps.
    environment = {key: value for key, value in os.environ.items() if key != "ANSIBLE_LOG_PATH"}
    return subprocess.Popen(
        [
            *("ansible-playbook", "--inventory", playbook.SERVERS, f"allianceauth.tuning.{name}"),
            *(*arguments, *playbook.extra_vars(variables)),
        ],
        env={**environment, "ANSIBLE_NOCOLOR": "1"},
        cwd=playbook.CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(running: subprocess.Popen[str]) -> playbook.Run:
    """Wait for its end; what it said is shown if the test fails."""
    try:
        said, _nothing = running.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        running.kill()
        said, _nothing = running.communicate()
        said += f"\nKilled, for it did not end within {_SECONDS} s."
    print(said)
    return playbook.Run(running.returncode, said)


def run(name: str, *arguments: str, **variables: Any) -> playbook.Run:
    """Run a playbook to its end."""
    return finish(start(name, *arguments, **variables))


def verdict(run: playbook.Run) -> str:
    """Return the sentence that a failed run ends with; the first cause is in it."""
    assert run.status != 0
    failures = re.findall(r"(?m)^fatal: \[\S+\]: FAILED! => (\{.*\})$", run.output)
    return str(json.loads(failures[-1])["msg"])
