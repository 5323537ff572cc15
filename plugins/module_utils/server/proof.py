# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remember which configurations of ours have not proved themselves, so that nobody goes back to one.

A run that was cut off leaves its file behind, and the next run keeps that like any other. What
somebody else has written is not among them: it was there before, and ran.
"""

from __future__ import annotations

import hashlib
import os

from ansible_collections.allianceauth.tuning.plugins.module_utils.server import guard_program

# What a reboot must not forget.
FOLDER = "/var/lib/allianceauth.tuning"

# More than are kept.
_MOST = 40


def begin(name: str, text: str) -> None:
    """Remember that a configuration of the project ``name``, which is about to be put in place, has proved nothing."""
    _save(name, [*(known for known in _load(name) if known != _digest(text)), _digest(text)])


def passed(name: str, text: str) -> None:
    """Remember that a configuration has proved itself."""
    _save(name, [known for known in _load(name) if known != _digest(text)])


def lacks(name: str, text: str) -> bool:
    """Whether a configuration was put in place by a run that did not come to its end."""
    return _digest(text) in _load(name)


def _path(name: str) -> str:
    return os.path.join(FOLDER, f"{name}.unproven.json")


def _load(name: str) -> list[str]:
    return list(guard_program.load(_path(name)).get("sha256", []))


def _save(name: str, digests: list[str]) -> None:
    if digests != _load(name):
        os.makedirs(FOLDER, 0o700, exist_ok=True)
        guard_program.save(_path(name), {"sha256": digests[-_MOST:]})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
