# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What result files count: a line a suite, the slowest tests, and the sum of all last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

# The files are our own: written by pytest and scripts/junit-case a moment ago.
from xml.etree import ElementTree

_SLOWEST = 10
# Letters of what a test has failed with: often all that is left of a run elsewhere is its end.
_MESSAGE = 150


@dataclass(frozen=True)
class Case:
    """A test: its name, how it ended (passed, failed or skipped), after how many seconds, and what it failed with."""

    name: str
    status: str
    seconds: float
    message: str = ""


def read(folder: Path) -> dict[str, list[Case]]:
    """Return each suite's tests; a file is named SUITE.ANYTHING.xml."""
    suites: dict[str, list[Case]] = {}
    for file in sorted(folder.glob("*.xml")):
        cases = suites.setdefault(file.name.split(".")[0], [])
        cases += [_case(case) for case in ElementTree.parse(file).iter("testcase")]
    return suites


def _case(case: ElementTree.Element) -> Case:
    name, seconds = case.get("name", ""), float(case.get("time") or 0)
    for kind in ("failure", "error"):
        if (failed := case.find(kind)) is not None:
            message = " ".join(failed.get("message", "").split())
            return Case(name, "failed", seconds, message[:_MESSAGE])
    return Case(name, "skipped" if case.find("skipped") is not None else "passed", seconds)


def failures(suites: Mapping[str, Iterable[Case]]) -> int:
    """Return how many tests have failed."""
    return sum(case.status == "failed" for cases in suites.values() for case in cases)


def text(suites: Mapping[str, list[Case]], jobs: Mapping[str, tuple[str, float]]) -> str:
    """Return the table; `jobs` has each job's status and seconds by its name, which is its suite's if it has one.

    A job that failed without a failed test, or could not be run, counts as one failure.
    """
    rows = []
    sums = dict.fromkeys(("passed", "failed", "skipped"), 0)
    for name in [*jobs, *(suite for suite in suites if suite not in jobs)]:
        cases = suites.get(name, [])
        status, seconds = jobs.get(name, ("", sum(case.seconds for case in cases)))
        counts = {key: sum(case.status == key for case in cases) for key in sums}
        if status in ("failed", "skipped") and not counts["failed"]:
            counts["failed"] += 1
            name = f"{name} ({'broken off' if status == 'failed' else 'could not be run'})"
        for key, count in counts.items():
            sums[key] += count
        rows.append((name, counts, seconds))
    width = max(len("job"), *(len(name) for name, _counts, _seconds in rows))
    lines = [f"{'job':{width}}  passed  failed  skipped  seconds"]
    lines += [
        f"{name:{width}}  {counts['passed']:6}  {counts['failed']:6}  {counts['skipped']:7}  {seconds:7.0f}"
        for name, counts, seconds in rows
    ]
    # The sequence of a scenario is no test, but all of them.
    tests = [(case, suite) for suite, cases in suites.items() for case in cases if not case.name.startswith("the ")]
    slowest = sorted(tests, key=lambda test: -test[0].seconds)[:_SLOWEST]
    lines += ["", "The slowest tests, in seconds with their set-up:"]
    lines += [f"{case.seconds:7.0f}  {suite}: {case.name}" for case, suite in slowest]
    failed = [(case, suite) for suite, cases in suites.items() for case in cases if case.status == "failed"]
    lines += ["", "Failed:"] if failed else []
    for case, suite in failed:
        lines += [f"  {suite}: {case.name}", f"    {case.message}"] if case.message else [f"  {suite}: {case.name}"]
    skipped = f", {sums['skipped']} skipped" if sums["skipped"] else ""
    return "\n".join([*lines, "", f"{sums['passed']} passed, {sums['failed']} failed{skipped}"])
