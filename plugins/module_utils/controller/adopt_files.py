# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the variables of one host go, so that Ansible reads them, and all that it has read before."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from dataclasses import dataclass
from typing import Iterable, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import backup_name

VARIABLES, SECRETS = "auth.yml", "auth_secrets.yml"

# Ansible takes the first of these that there is, so that a folder hides a file. Source: DataLoader.find_vars_files
_SUFFIXES = ("", ".yml", ".yaml", ".json")

# Below the working folder, for what has no place beside the inventory.
_ELSEWHERE = "adopt"


@dataclass(frozen=True)
class Target:
    """The folder to write into, and, if Ansible does not read that one, ``why`` and the ``command`` that mends it."""

    folder: str
    why: str = ""
    command: str = ""


def target(sources: Sequence[str], origin: str, host: str, here: str) -> Target:
    """Return where a host's variables go.

    ``sources`` are the inventories as -i gives them, ``origin`` the file that the host is from, ``here`` the folder to
    fall back on.
    """
    folders = _folders(sources)
    aside = os.path.join(here, _ELSEWHERE, host)
    if not folders:
        made = os.path.join(here, "my-servers")
        inventory = f"auth_servers:\n  hosts:\n    {host}:\n"
        # A folder with a file for each host is one inventory. What is there already stays as it is (-C, -n).
        file, folder = _quoted(made, f"{host}.yml"), _quoted(made, "host_vars", host)
        command = (
            f"mkdir -p {folder} && mv -n {shlex.quote(aside)}/*.yml {folder}/ && "
            f"(set -C; printf {shlex.quote(inventory)} > {file})"
        )
        return Target(aside, "the inventory is no file, so that there is no folder beside it", command)
    beside = next((one for one in folders if origin.startswith(os.path.join(one, ""))), folders[-1])
    folder = os.path.join(beside, "host_vars", host)
    hidden = next((f"{folder}{suffix}" for suffix in _SUFFIXES if os.path.isfile(f"{folder}{suffix}")), "")
    if hidden and not os.path.isdir(folder):
        # A file beside it is read before it: the order is that of the alphabet.
        main = "all" + (os.path.splitext(hidden)[1] if hidden != folder else ".yml")
        command = (
            f"mv {shlex.quote(hidden)} {shlex.quote(hidden + '.before')} && mkdir {shlex.quote(folder)} && "
            f"mv {shlex.quote(hidden + '.before')} {_quoted(folder, main)} && "
            f"mv {shlex.quote(aside)}/*.yml {shlex.quote(folder)}/"
        )
        return Target(aside, f"a folder of that name would hide {hidden}, which Ansible reads now", command)
    nearest = folder
    while not os.path.exists(nearest):
        nearest = os.path.dirname(nearest)
    if not os.access(nearest, os.W_OK):
        command = f"sudo mkdir -p {shlex.quote(folder)} && sudo mv {shlex.quote(aside)}/*.yml {shlex.quote(folder)}/"
        return Target(aside, f"you cannot write in {nearest}", command)
    return Target(folder)


def read_from(sources: Sequence[str], host: str) -> str:
    """Return the file for a host's variables, below the inventory's folder: Ansible reads no file beside a folder."""
    has_folder = any(os.path.isdir(os.path.join(one, "host_vars", host)) for one in _folders(sources))
    return f"host_vars/{host}/{VARIABLES}" if has_folder else f"host_vars/{host}.yml"


def _folders(sources: Sequence[str]) -> list[str]:
    """Return the folders beside which Ansible looks for the variables of hosts."""
    return [one if os.path.isdir(one) else os.path.dirname(one) for one in sources if os.path.exists(one)]


def _quoted(*parts: str) -> str:
    return shlex.quote(os.path.join(*parts))


def names_in(path: str) -> set[str]:
    """Return the variables that a file sets, none if there is none. It is read as text: it may be a vault."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return set(re.findall(r"^(\w+):", file.read(), re.MULTILINE))
    except OSError:
        return set()


def read_later(folder: str, names: Iterable[str]) -> dict[str, list[str]]:
    """Return which of the variables each other file of a folder sets as well, whose values would count."""
    try:
        others = sorted(entry for entry in os.listdir(folder) if entry > VARIABLES and entry != SECRETS)
    except OSError:
        return {}
    # Ansible leaves these out.
    read = [entry for entry in others if not entry.startswith(".") and not entry.endswith("~")]
    found = {os.path.join(folder, entry): names_in(os.path.join(folder, entry)) for entry in read}
    return {path: sorted(set(names) & inside) for path, inside in found.items() if set(names) & inside}


def write(folder: str, name: str, text: str, mode: int) -> str:
    """Write a file and return its path; one that was there is kept beside it under a hidden name, which is not read."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    # mkstemp's is for its owner alone from the beginning.
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, mode)
        file.write(text)
    if os.path.exists(path):
        os.replace(path, backup_name.hidden(path, backup_name.now()))
    os.replace(temporary, path)
    return path
