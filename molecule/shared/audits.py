# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits of the scenario's server, and what they found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import play, playbook, server


@dataclass(frozen=True)
class Audit:
    """A run of the playbook audit, and its report on one host."""

    run: playbook.Run
    report: Mapping[str, Any]
    # The texts of audit.json and audit.html.
    texts: tuple[str, str]

    @property
    def found(self) -> set[tuple[str, str]]:
        """The severity and the rule of each finding."""
        return {(finding["severity"], finding["rule"]) for finding in self.report["findings"]}

    def finding(self, rule: str) -> Mapping[str, Any]:
        """Return the only finding by a rule."""
        (one,) = [finding for finding in self.report["findings"] if finding["rule"] == rule]
        return dict(one)


def audit(host: Any, folder: Path, *arguments: str, **variables: Any) -> Audit:
    """Run the playbook, with no variables but where its report goes."""
    run = play.run("audit", *arguments, auth_audit_dir=str(folder), **variables)
    texts = ((folder / "audit.json").read_text(), (folder / "audit.html").read_text())
    return Audit(run, json.loads(texts[0])["hosts"][server.name(host)], texts)
