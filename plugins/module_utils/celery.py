# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the workers through Celery's own command."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any, Mapping

# Exit code of `celery inspect` when no node replied. Source: celery/bin/control.py (EX_UNAVAILABLE).
_NOBODY_REPLIED = 69


class CannotAsk(Exception):
    """Celery's command failed; the text is its own last words."""


@dataclass(frozen=True)
class Application:
    """A Celery application and the venv that holds its command."""

    venv: str
    project: str
    project_dir: str

    def inspect(self, what: str, nodes: list[str], seconds: int = 5) -> dict[str, Any]:
        """Return each node's answer to ``celery inspect WHAT``, of those that answered within ``seconds``."""
        asked = ["inspect", what, "--json", "--timeout", str(seconds), "--destination", ",".join(nodes)]
        done = self._run(asked)
        if done.returncode == _NOBODY_REPLIED:
            return {}
        try:
            answers = json.loads(done.stdout)
        except ValueError:
            answers = None
        if done.returncode or not isinstance(answers, dict):
            raise CannotAsk(f"celery inspect {what} failed: {_last_words(done)}")
        return answers

    def _run(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        command = [os.path.join(self.venv, "bin", "celery"), "-A", self.project, *arguments]
        try:
            return subprocess.run(command, cwd=self.project_dir, capture_output=True, text=True, check=False)
        except OSError as why:
            raise CannotAsk(f"{command[0]} cannot be run: {why.strerror}") from why


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return " ".join(lines[-3:]) or f"exit code {done.returncode}, without a word"


def differences(wanted: Mapping[str, Mapping[str, Any]], pools: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each figure of a node's pool that is not as wanted."""
    return [
        f"Celery's {node} says that its {key} is {pools.get(node, {}).get(key)!r} and not {value!r}."
        for node, figures in wanted.items()
        for key, value in figures.items()
        if pools.get(node, {}).get(key) != value
    ]
