# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our arguments, read by memmon's own reader."""

from __future__ import annotations

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import Program
from superlance.memmon import memmon_from_args

PROGRAMS = [
    Program("worker", numprocs=2, numbered=True, memory_limit=256 * 1024**2),
    Program("gunicorn", memory_limit=1024**3, cumulative=True),
    Program("beat"),
]


def test_each_process_with_a_limit_has_a_memmon_of_its_own_that_knows_it_by_its_name() -> None:
    found = {
        listener.name: memmon_from_args(listener.arguments(memmon.Mail())) for listener in memmon.listeners(PROGRAMS)
    }
    limits = {name: (each.programs, each.cumulative) for name, each in found.items()}
    assert limits == {
        "memmon_worker_00": ({"worker_00": 256 * 1024**2}, False),
        "memmon_worker_01": ({"worker_01": 244 * 1024**2}, False),
        "memmon_gunicorn": ({"gunicorn": 1024**3}, True),
    }


def test_all_that_a_mail_needs_reaches_memmon() -> None:
    mail = memmon.Mail(address="a@example.com", sendmail="/bin/mail -t", uptime="2h", name="auth1")
    (listener, *_others) = memmon.listeners(PROGRAMS)
    found = memmon_from_args(listener.arguments(mail))
    assert (found.email, found.sendmail, found.email_uptime_limit, found.name) == (
        "a@example.com",
        "/bin/mail -t",
        7200,
        "auth1",
    )


def test_without_an_address_nothing_is_said_of_mails() -> None:
    assert memmon.Mail(sendmail="/bin/mail", name="auth1").arguments() == []


@pytest.mark.parametrize(("size", "number"), [("1KB", 1024), ("256MB", 256 * 1024**2), ("2gb", 2 * 1024**3)])
def test_a_size_is_as_many_bytes_as_for_memmon(size: str, number: int) -> None:
    assert memmon.parse_size(size) == number
    assert memmon_from_args(["-p", f"worker_00={size.upper()}"]).programs == {"worker_00": number}


@pytest.mark.parametrize("size", ["256", "1.5GB", "0MB", "256MiB", "MB", " 1MB", "1MB\n", "-1MB"])
def test_a_size_that_memmon_does_not_know_or_nobody_means_is_refused(size: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number followed by KB, MB or GB"):
        memmon.parse_size(size)


def test_the_limits_of_a_running_memmon_are_read_from_its_arguments() -> None:
    assert memmon.watched(["python", "memmon", "-c", "-p", "worker_00=1GB", "--program", "b=2MB", "-m", "a@b"]) == {
        "worker_00": 1024**3,
        "b": 2 * 1024**2,
    }
    assert memmon.watched(["celery", "-p", "worker_00=1GB"]) == {}


@pytest.mark.parametrize(
    ("size", "limits"),
    [
        (512, [512]),
        (512, [512, 487, 461, 436, 410]),
        (512, [512, 495, 478, 461, 444, 427, 410]),
        # Too little for steps of whole MB.
        (3, [3, 3, 3]),
    ],
)
def test_limits_of_a_pool_lie_apart_downwards_and_are_read_as_one(size: int, limits: list[int]) -> None:
    megabyte = 1024**2
    found = memmon.pool_limits(size * megabyte, len(limits))
    assert [limit / megabyte for limit in found] == limits
    assert memmon.one_limit(list(reversed(found))) == {size * megabyte}


@pytest.mark.parametrize("sizes", [[512, 400], [512, 487, 460], [512, 512, 487]])
def test_other_limits_are_read_as_they_are(sizes: list[int]) -> None:
    assert memmon.one_limit(sizes) == set(sizes)


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_no_limit_of_a_pool_is_above_what_was_set_or_20_percent_below(count: int) -> None:
    for size in (1024, 300 * 1024, 1024**2, 77 * 1024**2, 512 * 1024**2, 1024**3):
        found = memmon.pool_limits(size, count)
        assert found[0] == size
        assert all(0.8 * size <= limit <= size for limit in found)
        assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_the_least_limit_leaves_each_process_what_it_needs(count: int) -> None:
    needed = 234 * 1024**2 + 1
    least = memmon.least_limit(needed, count)
    assert memmon.pool_limits(least, count)[-1] >= needed
    assert memmon.pool_limits(least - 1024**2, count)[-1] < needed
