# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the pip of a virtual environment with its user's rights, and show nobody what may be a secret."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import pwd
import re
import shlex
import signal
import subprocess
from typing import Any, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import pip_arguments
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import privileges

# Python's own words where a virtual environment has no pip, such as one that uv has made.
_NO_PIP = re.compile(r": No module named pip$", re.MULTILINE)

# Of what pip says, if none of it is an error.
_LAST_LINES = 3


class NoPipError(Exception):
    """The virtual environment has no pip; the text says what helps."""


def install(given: Mapping[str, Any]) -> str:
    """Install the package; return "" or what pip says of why it could not. Raises `NoPipError`."""
    told = json.loads(given["pip"])
    try:
        arguments, hidden = pip_arguments.apart([str(word) for word in told.get("arguments", [])])
    except ValueError as why:
        return f"it was not asked, for {why}."
    requirement = f"{given['name']}=={given['version']}"
    own = {name: str(value) for name, value in told.get("environment", {}).items()}
    words = ["install", "--no-input", "--no-cache-dir", "--disable-pip-version-check", requirement, *arguments]
    try:
        return _run(given, words, own, hidden)
    except NoPipError as why:
        python = _python(given)
        command = shlex.join(["sudo", "-Hu", given["user"], "uv", "pip", "install", "--python", python, requirement])
        raise NoPipError(f"{why}; or, if uv has made it, {command}") from why


def uninstall(given: Mapping[str, Any], packages: Sequence[str]) -> str:
    """Take packages away; return "" or what pip says of why it could not. Raises `NoPipError`."""
    return _run(given, ["uninstall", "--yes", "--no-input", "--disable-pip-version-check", "--", *packages], {}, {})


def packages(venv: str) -> set[str]:
    """Return the names of what is installed in a venv, as pip compares them. Source: PEP 427, PEP 503."""
    folders = glob.glob(os.path.join(glob.escape(venv), "lib", "python3*", "site-packages", "*.dist-info"))
    names = (os.path.basename(folder).partition("-")[0] for folder in folders)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


def _run(given: Mapping[str, Any], words: Sequence[str], own: Mapping[str, str], hidden: Mapping[str, str]) -> str:
    user = pwd.getpwnam(given["user"])
    command = [_python(given), "-m", "pip"]
    try:
        running = subprocess.Popen(
            [*command, *words],
            cwd=given["venv"],
            env={**os.environ, "HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, **own, **hidden},
            **privileges.of_user(user),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as why:
        return f"{command[0]} cannot be run: {why.strerror}"
    with running:
        try:
            said = running.communicate(timeout=given["timeout"])[0]
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            return f"it took longer than {given['timeout']} s"
    if running.returncode and _NO_PIP.search(said):
        command = [_python(given), "-m", "ensurepip"]
        helps = shlex.join(["sudo", "-Hu", given["user"], *command])
        raise NoPipError(f"{given['venv']} has no pip, which this needs; what brings it is {helps}")
    return "" if running.returncode == 0 else errors(said, managed_file.secret_values(own))


def _python(given: Mapping[str, Any]) -> str:
    return os.path.join(given["venv"], "bin", "python")


def errors(said: str, secrets: set[str]) -> str:
    """Return pip's errors, or its last words, without what may be a secret."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    found = [line for line in lines if "rror:" in line or line.startswith("ERROR")] or lines[-_LAST_LINES:]
    text = " ".join(found) or "nothing"
    return pip_arguments.without_credentials(managed_file.redacted(text, secrets))
