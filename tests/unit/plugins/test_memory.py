# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of memory limits: whether they fit into the host, and whether a process can live with its own."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import consent, memory, places, plan
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon

from tests.unit.plugins.planning import GIGABYTE, INFO, STEPS, WANTED, decide, declare, process

MEGABYTE = 1024**2


def server(total: int, worker: int = 117) -> dict[str, Any]:
    """Return a stock server with so many MB of memory, of which 500 are taken by the system and the database."""
    ours = [
        process("myauth", "beat", "beat", rss=worker * MEGABYTE),
        process("myauth", "worker_00", "worker", rss=worker * MEGABYTE),
        process("myauth", "gunicorn", "gunicorn", rss=26 * MEGABYTE, children=[100 * MEGABYTE] * 3),
        process("memmon_worker_00", "memmon_worker_00", "listener", rss=24 * MEGABYTE),
    ]
    held = (2 * worker + 326 + 24) * MEGABYTE
    return {
        **INFO,
        "orphans": [],
        "serving": [],
        "memory_total": total * MEGABYTE,
        "memory_available": (total - 500) * MEGABYTE - held,
        "daemon": {**INFO["daemon"], "processes": ours},
    }


# The sum by hand: limits, beat (117), gunicorn (326) and a memmon of 24 for each limit, against all but 500.
@pytest.mark.parametrize(
    ("total", "numprocs", "sentence"),
    [
        (
            2048,
            4,
            "4 processes are 1896 MB in all, and beat, gunicorn, 4 listeners without one hold 539 MB: together 2435",
        ),
        (
            1024,
            1,
            "1 processes are 512 MB in all, and beat, gunicorn, 1 listeners without one hold 467 MB: together 979",
        ),
        (2048, 1, ""),
    ],
)
def test_the_sum_counts_what_has_no_limit_and_what_else_runs(
    defaults: dict[str, Any], total: int, numprocs: int, sentence: str
) -> None:
    said = memory.excess(declare(defaults, auth_worker_numprocs=numprocs), server(total))
    assert bool(said) == bool(sentence)
    assert sentence in said
    assert f"the host has {total - 500} MB for them" in said or not said
    assert (
        memory.excess(declare(defaults, auth_worker_numprocs=numprocs, auth_memory_overcommit=True), server(total))
        == ""
    )


@pytest.mark.parametrize("numprocs", [2, 4, 7])
def test_the_number_that_fits_leaves_a_little_and_no_more(defaults: dict[str, Any], numprocs: int) -> None:
    host = server(1300 + 260 * numprocs)
    said = memory.excess(declare(defaults, auth_worker_numprocs=numprocs), host)
    found = re.search(r"auth_worker_memory_limit: (\d+)MB fits", said)
    assert found, said
    size = int(found[1])
    left = host["memory_total"] // 32
    for asked, fits in ((size, True), (size + 1, False)):
        given = {"auth_worker_numprocs": numprocs, "auth_worker_memory_limit": f"{asked}MB"}
        fuller = {**host, "memory_available": host["memory_available"] - left}
        assert (memory.excess(declare(defaults, **given), fuller) == "") is fits
    given = {"auth_worker_numprocs": numprocs, "auth_worker_memory_limit": f"{size}MB"}
    assert memory.warnings(declare(defaults, **given), host) == []


def test_where_no_limit_fits_it_is_said_what_is_missing(defaults: dict[str, Any]) -> None:
    # 117 twice is what it takes, and 57 are left, of which 32 stay free.
    said = memory.excess(declare(defaults), server(1024))
    assert "it takes 209 MB more for every worker to have twice what it holds at rest" in said
    assert memory.excess(declare(defaults, auth_worker_memory_limit="234MB"), server(1024 + 177)) == ""


@pytest.mark.parametrize(
    ("limits_set", "differs", "present", "refused"),
    [
        (False, True, "", False),
        (True, True, "", True),
        (True, False, "", False),
        # A server that adopt has described keeps what it has, however its memmon says that.
        (True, True, "-p worker_00=512MB", False),
        (True, True, "-p worker=512MB", False),
        (True, True, "-p myauth:worker_00=512MB", False),
        (True, True, "-c -g myauth=1GB", False),
        (True, True, "-a 1GB -p other=1MB", False),
        (True, True, "-p worker_00=256MB -g myauth=1KB", True),
        (True, True, "-p other=8GB -g another=8GB", True),
    ],
)
def test_only_new_limits_that_somebody_has_set_are_refused(
    defaults: dict[str, Any], limits_set: bool, differs: bool, present: str, refused: bool
) -> None:
    wanted = replace(WANTED, limits_set=limits_set, checksum="another" if differs else WANTED.checksum)
    host = server(1024)
    host["daemon"]["processes"][-1]["watches"] = memmon.options(["memmon", *present.split()])
    decided = plan.apply(declare(defaults), host, wanted, STEPS)
    assert bool(decided.refused) is refused
    assert [said for said in decided.warnings if said.startswith("the memory limits of ")] == (
        [] if refused else [memory.excess(declare(defaults), host)]
    )


def test_a_limit_that_is_set_to_nothing_is_none() -> None:
    for values, have in (
        ({"auth_worker_memory_limit": "", "auth_gunicorn_memory_limit": None}, False),
        ({"auth_workers": [{"name": "worker", "memory_limit": ""}]}, False),
        ({"auth_worker_memory_limit": "", "auth_beat_memory_limit": "1GB"}, True),
        ({"auth_extra_programs": {"bot": {"command": "a", "memory_limit": "1GB"}}}, True),
    ):
        assert consent.Variables(values, values).have_limit() is have


def test_a_limit_below_twice_what_is_held_at_rest_names_the_number(defaults: dict[str, Any]) -> None:
    host = server(8192, worker=187)
    (said,) = memory.warnings(declare(defaults, auth_worker_memory_limit="256MB"), host)
    assert "worker has a memory limit of 256MB, which is less than twice the 187 MB that it holds at rest" in said
    assert said.endswith("set auth_worker_memory_limit to 374MB or more.")
    assert memory.warnings(declare(defaults, auth_worker_memory_limit="374MB"), host) == []
    assert memory.warnings(declare(defaults, auth_worker_memory_limit="256MB", auth_memmon=False), host) == []


def test_a_worker_that_leaks_does_not_hold_that_at_rest(defaults: dict[str, Any]) -> None:
    host = server(8192)
    host["daemon"]["processes"][1]["rss"] = 400 * MEGABYTE
    assert memory.warnings(declare(defaults), host) == []


def test_the_last_of_a_pool_has_room_too(defaults: dict[str, Any]) -> None:
    asked = {"auth_worker_numprocs": 5, "auth_worker_memory_limit": "250MB"}
    (said,) = memory.warnings(declare(defaults, **asked), server(8192))
    assert "at rest (its last process has 200MB)" in said
    (number,) = re.findall(r"set auth_worker_memory_limit to (\d+MB)", said)
    assert memory.warnings(declare(defaults, **{**asked, "auth_worker_memory_limit": number}), server(8192)) == []


def test_gunicorn_is_weighed_with_its_children(defaults: dict[str, Any]) -> None:
    (said,) = memory.warnings(declare(defaults, auth_gunicorn_memory_limit="600MB"), server(8192))
    assert "gunicorn has a memory limit of 600MB, which is less than twice the 326 MB" in said
    assert said.endswith("set auth_gunicorn_memory_limit to 652MB or more.")


def test_a_small_limit_and_a_missing_one_are_warned_of(defaults: dict[str, Any]) -> None:
    nothing_runs = {**INFO, "orphans": [], "daemon": {**INFO["daemon"], "processes": []}}
    (small,) = memory.warnings(declare(defaults, auth_worker_memory_limit="100MB"), nothing_runs)
    assert "worker has a memory limit of 100MB. We would suggest" in small
    (missing,) = decide(defaults, nothing_runs, auth_worker_memory_limit="").warnings
    assert missing == "worker has no memory limit: memmon does not watch it."
    assert decide(defaults, nothing_runs, auth_worker_memory_limit="", auth_memmon=False).warnings == ()


@pytest.mark.parametrize(
    ("count", "apart", "told"), [(3, 600, True), (2, 600, False), (9, 7200, True), (8, 7200, False)]
)
def test_restarts_are_told_when_they_are_more_than_a_leak_explains(
    defaults: dict[str, Any], count: int, apart: int, told: bool
) -> None:
    host = server(8192)
    host["log"] = {
        "since": host["now"] - 86400,
        "restarts": {"worker_00": [host["now"] - apart * n for n in range(count)], "other": [host["now"]] * 99},
    }
    said = memory.warnings(declare(defaults), host)
    assert len(said) == told
    if told:
        assert f"memmon has restarted worker_00 {min(count, 1 + 3600 // apart)} times in the last hour" in said[0]
        assert "(supervisord's log reaches 24 hours back), which is more than a leak explains" in said[0]


def test_a_host_where_nothing_runs_is_judged_by_the_guides_figure(defaults: dict[str, Any]) -> None:
    host = {**server(8192), "daemon": {**INFO["daemon"], "processes": []}}
    assert memory.excess(declare(defaults), {**host, "memory_available": 8 * GIGABYTE}) == ""
    declared: Declared = declare(defaults)
    # beat, gunicorn with three children, a memmon.
    assert f"hold {80 + 4 * 80 + 24} MB" in memory.excess(declared, {**host, "memory_available": 0})


def test_the_variable_that_is_named_is_the_one_that_counts(defaults: dict[str, Any]) -> None:
    for given, limit, processes in (
        ({}, "auth_worker_memory_limit", "auth_worker_numprocs"),
        (
            {"memory_limit": "512MB", "numprocs": 2},
            "memory_limit of worker in auth_workers",
            "numprocs of worker in auth_workers",
        ),
    ):
        declared = declare(defaults, auth_workers=[{"name": "worker", **given}])
        (worker,) = declared.workers
        assert memory.variable(worker, declared) == limit
        assert places.pools(declared)[0]["variable"] == processes


def test_a_limit_that_fits_is_advised_only_where_it_changes_something(defaults: dict[str, Any]) -> None:
    assert "auth_worker_memory_limit: " in memory.excess(declare(defaults, auth_worker_numprocs=4), server(2300))
    own = [{"name": "worker", "memory_limit": "512MB"}]
    said = memory.excess(declare(defaults, auth_worker_numprocs=4, auth_workers=own), server(2300))
    assert "the memory limits of the pools in auth_workers" in said
