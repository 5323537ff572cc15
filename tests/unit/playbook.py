# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks that a unit test runs with the collection of the checkout, and with nothing that somebody has set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab.machine.paths import CHECKOUT


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook in a folder, which is its home as well; print and return what it says."""
    done = subprocess.run(
        [f"{sys.prefix}/bin/ansible-playbook", *arguments],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".cache/collections"),
            "ANSIBLE_NOCOLOR": "1",
            "HOME": str(folder),
            **environment,
        },
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout)
    return done
