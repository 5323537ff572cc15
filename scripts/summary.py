# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print what the result files in .cache/junit count, a line a suite and all of it last.

    python scripts/summary.py PART=passed|failed|skipped...

A PART is a target of the Makefile (lint, unit, molecule, oldest) and how it ended. One that failed
counts as a failure even if it wrote no result at all. The exit status is 1 if anything
failed, else 0.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

# The files are our own: written by pytest and scripts/junit-case a moment ago.
from xml.etree import ElementTree

RESULTS = Path(__file__).resolve().parent.parent / ".cache/junit"


def read_suites(folder: Path) -> dict[str, Counter[str]]:
    """Return each suite's results; a file is named SUITE.ANYTHING.xml."""
    suites: dict[str, Counter[str]] = {}
    for file in sorted(folder.glob("*.xml")):
        results = suites.setdefault(file.name.split(".")[0], Counter())
        results.update(_result(case) for case in ElementTree.parse(file).iter("testcase"))
    return suites


def _result(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def add_parts(suites: dict[str, Counter[str]], parts: dict[str, str]) -> dict[str, Counter[str]]:
    """Add what the parts' own ends say beyond their results: broken off, not run."""
    for part, end in parts.items():
        own = [results for suite, results in suites.items() if suite.split("-")[0] == part]
        if end == "failed" and not any(results["failed"] for results in own):
            suites[f"{part} (broken off)"] = Counter(failed=1)
        if end == "skipped":
            suites[f"{part} (not run)"] = Counter()
    return suites


def main(arguments: list[str]) -> int:
    parts = dict(argument.split("=", 1) for argument in arguments)
    suites = add_parts(read_suites(RESULTS), parts)
    width = max([len("suite"), *map(len, suites)])
    print(f"{'suite':{width}}  passed  failed  skipped")
    for suite, results in suites.items():
        counts = (results["passed"], results["failed"], results["skipped"])
        print("{:{}}  {:6}  {:6}  {:7}".format(suite, width, *counts))
    total = sum(suites.values(), Counter[str]())
    skipped = f", {total['skipped']} skipped" if total["skipped"] else ""
    print(f"\n{total['passed']} passed, {total['failed']} failed{skipped}")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
