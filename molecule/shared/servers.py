# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's servers that the scenarios run on.

    PYTHONPATH=CHECKOUT python servers.py images|up|down

`images` makes the plain image that most of them need, with progress. `up` starts stock servers, removing
earlier ones. LAB_DISTRO names the distributions, with commas or spaces; LAB_HOSTS is how many
servers of each a scenario needs (1), and LAB_APPS=1 has them with community apps.
"""

from __future__ import annotations

import os
import re
import sys

from lab import commands
from lab.errors import LabError
from lab.machine import prerequisites
from lab.podman import base_image, distros
from lab.podman.image import PLAIN, Contents

# Each scenario, and each run of one beside another, has servers of its own. create.yml names the lab as well.
LAB = f"molecule-{os.environ.get('LAB_RUN') or os.environ.get('MOLECULE_SCENARIO_NAME', 'none')}"


def choose(asked: str) -> tuple[list[str], str]:
    """Return the distributions to run on and a sentence that says which and why."""
    keys = re.findall(r"[^\s,]+", asked)
    why = "LAB_DISTRO asks for it"
    if not keys:
        prerequisites.ensure()
        obstacle = base_image.obstacle(distros.PREFERRED)
        why = f"{distros.PREFERRED.title}'s image cannot be had here: {obstacle}" if obstacle else "most servers do"
        keys = [distros.default(obstacle)[0].key]
    titles = " and ".join(distro.title for distro in distros.named(keys))
    return keys, f"The servers run {titles}, because {why}."


def main(verb: str) -> int:
    """Do it; a known failure becomes its sentence."""
    try:
        if verb == "down":
            commands.down(LAB)
            return 0
        keys, sentence = choose(os.environ.get("LAB_DISTRO", ""))
        print(sentence, flush=True)
        if verb == "images":
            commands.build(keys, PLAIN, prune=False)
            return 0
        apps = os.environ.get("LAB_APPS") == "1"
        commands.stock_hosts(LAB, keys, int(os.environ.get("LAB_HOSTS", "1")), Contents(apps=apps))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
