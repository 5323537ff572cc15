# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner of all tests: what runs, in which order, and what it says in the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import jobs, summary
from scripts.jobs import End, Job


def shell(name: str, command: str, **fields: tuple[str, ...]) -> Job:
    return Job(name, ("sh", "-c", command), **fields)  # type: ignore[arg-type]


def test_a_job_that_fails_keeps_no_other_from_running(capsys: pytest.CaptureFixture[str]) -> None:
    some = [shell("red", "echo broken; exit 3"), shell("green", "echo fine"), shell("late", "true", needs=("green",))]
    ends = jobs.Runner(some, 1).run()
    assert {name: end.status for name, end in ends.items()} == {"red": "failed", "green": "passed", "late": "passed"}
    said = capsys.readouterr().out.splitlines()
    assert "red   | broken" in said
    assert "green | fine" in said
    assert [line for line in said if line.startswith("== late passed") and "3 of 3 done" in line]


def test_what_needs_a_job_that_failed_is_said_to_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    ends = jobs.Runner([shell("images", "false"), shell("default", "true", needs=("images",))], 2).run()
    assert ends["default"].status == "skipped"
    assert "== default skipped without images" in capsys.readouterr().out


def test_two_jobs_run_side_by_side(tmp_path: Path) -> None:
    # Each waits for what the other one makes.
    meet = "touch {0}/{1}; for try in $(seq 600); do [ -e {0}/{2} ] && exit 0; sleep 0.1; done; exit 1"
    both = [shell("a", meet.format(tmp_path, "a", "b")), shell("b", meet.format(tmp_path, "b", "a"))]
    assert [end.status for end in jobs.Runner(both, 2).run().values()] == ["passed", "passed"]


def test_everything_runs_once_and_the_matrix_besides() -> None:
    test, everything, versions = (jobs.choose(verb, []) for verb in ("test", "test-all", "test-versions"))
    once = set(jobs.scenarios()) - {*jobs.VERSIONS, *jobs.THOROUGH}
    assert {job.name for job in test} == {"images", "lint", "unit", *once}
    assert [job.name for job in test if "THOROUGH" in job.environment] == []
    # On another distribution, and with another ansible-core, each promise is enough.
    others = {"images", "debian13", "default-debian13", "tools-oldest", "unit-oldest", "refusals-oldest"}
    assert {job.name for job in everything if "THOROUGH" not in job.environment} == others
    run = {job.command[-1] for job in (*everything, *versions) if job.command[0] == "scripts/scenario"}
    assert run == set(jobs.scenarios())
    assert {job.name for job in test} < {job.name for job in everything}
    for chosen in (test, everything, versions):
        names = [job.name for job in chosen]
        assert len(names) == len(set(names))
        assert {need for job in chosen for need in job.needs} <= set(names)
        assert names[0] == "images"


def test_the_longest_begin_first() -> None:
    some = [Job("short", (), seconds=1), Job("unknown", ()), Job("long", (), seconds=9)]
    assert [job.name for job in jobs.longest_first(some)] == ["unknown", "long", "short"]


def test_a_scenario_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(SystemExit, match=r"no scenario defualt; there are: .*default"):
        jobs.choose("molecule", ["defualt"])


@pytest.mark.parametrize(("cores", "gigabytes", "count"), [(2, 24, 3), (2, 5, 2), (8, 64, 12), (1, 1, 1)])
def test_as_many_jobs_run_at_once_as_cores_and_memory_carry(cores: int, gigabytes: int, count: int) -> None:
    assert jobs.at_once(cores, gigabytes * 1024**3) == count


def test_the_summary_counts_and_ends_with_the_sum(tmp_path: Path) -> None:
    (tmp_path / "unit.1.xml").write_text(
        '<testsuites><testsuite><testcase name="quick" time="0.5"/><testcase name="slow" time="70"/>'
        '<testcase name="bad" time="3"><failure message="assert 1&#10;  == 2">long</failure></testcase>'
        "</testsuite></testsuites>"
    )
    suites = summary.read(tmp_path)
    assert summary.failures(suites) == 1
    ends = {"unit": End("failed", 80), "busy": End("failed", 9), "default": End("skipped")}
    text = summary.text(suites, {name: (end.status, end.seconds) for name, end in ends.items()})
    lines = text.splitlines()
    assert lines[1].split() == ["unit", "2", "1", "0", "80"]
    assert [line for line in lines if line.startswith("busy (broken off)")]
    assert [line for line in lines if line.startswith("default (could not be run)")]
    assert lines.index("     70  unit: slow") < lines.index("      3  unit: bad")
    assert lines[lines.index("  unit: bad") + 1] == "    assert 1 == 2"
    assert lines[-1] == "2 passed, 3 failed"
