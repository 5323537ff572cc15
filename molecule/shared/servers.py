# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's servers that the scenarios run on.

    PYTHONPATH=CHECKOUT python servers.py images|up|down

`images` makes what a first run needs, with progress. `up` starts stock servers, removing
earlier ones. LAB_DISTRO names the distributions, with commas or spaces; LAB_AT_MOST is
how many of them a scenario needs (empty: all).
"""

from __future__ import annotations

import os
import re
import sys

from lab import base, commands, distros, prerequisites
from lab.errors import LabError

# Each scenario has servers of its own, so that two can run at once.
LAB = f"molecule-{os.environ.get('MOLECULE_SCENARIO_NAME', 'none')}"

# The two that most servers run, where an image can be pulled, else what debootstrap makes.
PAIRS = {
    distros.PREFERRED.key: ("ubuntu2204", "ubuntu2404"),
    distros.FALLBACK.key: ("debian12", "debian13"),
}


def choose(asked: str, at_most: str) -> tuple[list[str], str]:
    """Return the distributions to run on and a sentence that says which and why."""
    keys = re.findall(r"[^\s,]+", asked)
    why = "LAB_DISTRO asks for it"
    if not keys:
        prerequisites.ensure()
        obstacle = base.obstacle(distros.PREFERRED)
        why = f"{distros.PREFERRED.title}'s image cannot be had here: {obstacle}" if obstacle else "most servers do"
        keys = list(PAIRS[distros.default(obstacle)[0].key])
    keys = keys[: int(at_most)] if at_most else keys
    titles = " and ".join(distro.title for distro in distros.named(keys))
    return keys, f"The servers run {titles}, because {why}."


def main(verb: str) -> int:
    """Do it; a known failure becomes its sentence."""
    try:
        if verb == "down":
            commands.down(LAB)
            return 0
        keys, sentence = choose(os.environ.get("LAB_DISTRO", ""), os.environ.get("LAB_AT_MOST", ""))
        print(sentence, flush=True)
        if verb == "images":
            commands.build(keys, "", prune=False)
            return 0
        # Two in any case, unless the scenario needs one alone.
        commands.anew(LAB, keys, 2 if len(keys) == 1 and not os.environ.get("LAB_AT_MOST") else 1)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
