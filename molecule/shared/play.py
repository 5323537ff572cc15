# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's playbooks, run beside a fault."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from shared import playbook


def start(name: str, *arguments: str, **variables: Any) -> subprocess.Popen[str]:
    """Begin a run of `allianceauth.tuning.NAME`, with extra variables as their types are."""
    return playbook.start(name, *arguments, *playbook.extra_vars(variables))


def run(name: str, *arguments: str, **variables: Any) -> playbook.Run:
    """Run a playbook to its end."""
    return playbook.finish(start(name, *arguments, **variables))


def verdict(run: playbook.Run) -> str:
    """Return the sentence that a failed run ends with; the first cause is in it."""
    assert run.status != 0
    failures = re.findall(r"(?m)^fatal: \[\S+\]: FAILED! => (\{.*\})$", run.output)
    return str(json.loads(failures[-1])["msg"])
