# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs beside what is installed."""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import outdated
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.finding import Finding


def findings(look: Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong with the code that the programs of a host run."""
    return list(_old_code(look))


def _old_code(look: Mapping[str, Any]) -> Iterator[Finding]:
    for one in look["projects"]:
        processes = [process for process in look["processes"] if process["namespec"] in one["processes"]]
        programs, changed = outdated.summary(processes, one["code"], look["now"])
        if programs:
            yield Finding(
                "medium",
                "old-code",
                programs,
                f"changed since they began: {changed}",
                "They run older code than what is installed. The next restart, for whatever reason, brings the new one "
                "into service without a word.",
                "ansible-playbook -i my-servers allianceauth.tuning.restart, on a server that was tuned",
                one["name"],
            )
