#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: venv_package
short_description: Install a package into a virtual environment with its user's rights
version_added: 0.1.0
description:
  - Runs the environment's own pip as O(user), whoever runs the module.
  - What pip is told of an index may hold credentials. They come by the module's input and go on in pip's environment,
    so that no list of processes and no log of sudo's has them; nor has what pip says of a failure.
options:
  venv:
    description: The virtual environment.
    type: path
    required: true
  user:
    description: The user whose it is.
    type: str
    required: true
  name:
    description: The package.
    type: str
    required: true
  version:
    description: Its version.
    type: str
    required: true
  pip:
    description:
      - Further C(arguments) of C(pip install), a list, and environment variables of pip's (C(environment), a mapping),
        as a JSON object. They may be secrets, so they are not shown.
    type: str
    default: '{}'
  timeout:
    description: Seconds after which pip is ended.
    type: int
    default: 800
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
  - allianceauth.tuning.attributes
  - allianceauth.tuning.guard
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Install superlance by a mirror
  allianceauth.tuning.venv_package:
    venv: /home/allianceserver/venv/auth
    user: allianceserver
    name: superlance
    version: 2.0.0
    pip: "{{ {'arguments': ['--index-url', 'https://name:secret@mirror.example/simple']} | to_json }}"
"""

RETURN = r""" # """

import contextlib
import json
import os
import pwd
import re
import signal
import subprocess
from typing import Any, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import guard, privileges

# Options whose value may be a URL with credentials, and the variable in which pip takes the same.
# Source: pip's documentation, "Configuration", "Environment Variables".
_URLS = {
    "--index-url": "PIP_INDEX_URL",
    "-i": "PIP_INDEX_URL",
    "--extra-index-url": "PIP_EXTRA_INDEX_URL",
    "--find-links": "PIP_FIND_LINKS",
    "-f": "PIP_FIND_LINKS",
    "--proxy": "PIP_PROXY",
}
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")

# Of what pip says, if none of it is an error.
_LAST_LINES = 3


def apart(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the arguments that anybody may see, and those with credentials as pip's environment variables."""
    seen: list[str] = []
    hidden: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        value = value if equals else next(words, "") if option in _URLS else ""
        if option in _URLS and _CREDENTIALS.search(value):
            # Those that can be given again are divided by spaces.
            hidden[_URLS[option]] = f"{hidden.get(_URLS[option], '')} {value}".strip()
        else:
            seen += [word] if equals or option not in _URLS else [word, value]
    return seen, hidden


def install(given: Mapping[str, Any]) -> str:
    """Install the package; return "" or what pip says of why it could not."""
    pip = json.loads(given["pip"])
    arguments, hidden = apart([str(word) for word in pip.get("arguments", [])])
    user = pwd.getpwnam(given["user"])
    own = {name: str(value) for name, value in pip.get("environment", {}).items()}
    requirement = f"{given['name']}=={given['version']}"
    command = [os.path.join(given["venv"], "bin", "python"), "-m", "pip", "install", "--no-input"]
    try:
        running = subprocess.Popen(
            [*command, "--disable-pip-version-check", requirement, *arguments],
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
    return "" if running.returncode == 0 else errors(said, managed_file.secret_values(own))


def errors(said: str, secrets: set[str]) -> str:
    """Return pip's errors, or its last words, without what may be a secret."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    found = [line for line in lines if "rror:" in line or line.startswith("ERROR")] or lines[-_LAST_LINES:]
    text = " ".join(found) or "nothing"
    return _CREDENTIALS.sub("(not shown)", managed_file.redacted(text, secrets))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "venv": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "pip": {"type": "str", "default": "{}", "no_log": True},
            "timeout": {"type": "int", "default": 800},
            **guard.SPEC,
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True)
    with guard.as_owner(module):
        problem = install(module.params)
    if problem:
        module.fail_json(msg=problem)
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
