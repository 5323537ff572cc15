# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever leaks is restarted alone, at the next tick after it passes its limit, and warmly."""

from __future__ import annotations

import re
from typing import Any

import pytest
from memory import leaks
from shared import server

# vars/start.yml, in MB; the second of the pool has 5 % less.
LIMITS = {"worker_01": 244, "worker_fork_00": 700, "gunicorn": 700, "bot": 256}
# MB a second: above the limit within four.
RATES = {"worker_01": 80, "worker_fork_00": 160}


def assert_at_the_next_tick(text: str, process: str) -> None:
    """Check in memmon's log that the first size above the limit was the last before the restart."""
    limit = LIMITS[process] * leaks.MEGABYTE
    *earlier, last = leaks.readings(text, process)
    assert last > limit
    assert [size for size in earlier if size > limit] == []


def test_every_limit_has_a_memmon_that_sees_its_process(host: Any) -> None:
    leaks.all_running(host)
    small, large, beat = (number * leaks.MEGABYTE for number in (256, 700, 384))
    assert server.memmon_checks(host) == {
        **dict.fromkeys(["worker_00", "worker_services_00", "bot"], small),
        # Each of a pool 5 % below the one before it, in whole MB.
        "worker_01": 244 * leaks.MEGABYTE,
        "worker_02": 231 * leaks.MEGABYTE,
        **dict.fromkeys(["worker_fork_00", "gunicorn"], large),
        "beat": beat,
    }


@pytest.mark.parametrize("process", RATES)
def test_a_worker_that_leaks_is_restarted_alone_and_its_tasks_finish(host: Any, process: str) -> None:
    log = f"memmon_{process}.log"
    before, start = leaks.all_running(host), server.log_size(host, log)
    queue = "fork" if process == "worker_fork_00" else leaks.own_queue(host, process)
    long = leaks.task(host, "sleep", f"witness-{process}", queue)
    leak = leaks.task(host, "leak", f"alone-{process}", queue, seconds=4, rate=RATES[process])
    assert leaks.stopping(host, f"myauth:{process}")
    # It was told while a task runs, and waits for it.
    assert server.ledger(host, long) == {long: ["start"]}
    server.release(host, long)
    assert leaks.finished(host, long) == ["start", "end"]
    after = leaks.until_restarted(host, f"myauth:{process}", before)
    assert leaks.restarted(before, after) == {f"myauth:{process}"}
    assert_at_the_next_tick(server.log(host, log, start), process)
    for key in (long, leak):
        assert server.ledger(host, key) == {key: ["start", "end"]}


def test_a_gunicorn_that_leaks_is_restarted_alone_and_a_request_finishes(host: Any) -> None:
    before, start = leaks.all_running(host), server.log_size(host, "memmon_gunicorn.log")
    key = leaks.unique("patient")
    server.run(host, f"{server.get(f'/lab/slow/?seconds=1800&key={key}')} >/tmp/patient 2>&1 </dev/null &")
    assert server.wait(lambda: server.ledger(host, key), bool) == {key: ["start"]}
    assert server.run(host, server.get("/lab/leak/?megabytes=600")) == "200\n"
    assert leaks.stopping(host, "myauth:gunicorn")
    # It was told while the request was in flight, and waits for it.
    assert server.ledger(host, key) == {key: ["start"]}
    server.release(host, key)
    after = leaks.until_restarted(host, "myauth:gunicorn", before)
    assert server.run(host, "cat /tmp/patient") == "200\n"
    assert server.ledger(host, key) == {key: ["start", "end"]}
    assert leaks.restarted(before, after) == {"myauth:gunicorn"}
    assert_at_the_next_tick(server.log(host, "memmon_gunicorn.log", start), "gunicorn")


def test_another_program_that_leaks_is_restarted_alone_and_ends_gracefully(host: Any) -> None:
    before, start = leaks.all_running(host), server.log_size(host, "memmon_bot.log")
    key, sent = f"bot-{before['myauth:bot']}", leaks.mails(host)
    server.run(host, "supervisorctl signal USR1 myauth:bot")
    after = leaks.until_restarted(host, "myauth:bot", before)
    assert leaks.restarted(before, after) == {"myauth:bot"}
    assert server.ledger(host, key) == {key: ["start", "end"]}
    assert_at_the_next_tick(server.log(host, "memmon_bot.log", start), "bot")
    (mail,) = server.wait(lambda: leaks.mails(host)[len(sent) :], bool)
    assert mail.startswith("To: admin@example.com\n")
    assert "Subject: memmon [Lab's Alliance Auth]: process myauth:bot restarted\n" in mail
    assert re.search(r"restarted the process named myauth:bot at .* \(\d+ bytes RSS\)", mail)


def test_a_program_that_dies_is_told_of(host: Any) -> None:
    before, sent = leaks.all_running(host), leaks.mails(host)
    server.run(host, "supervisorctl signal USR2 myauth:bot")
    assert leaks.restarted(before, leaks.until_restarted(host, "myauth:bot", before)) == {"myauth:bot"}
    (mail,) = server.wait(lambda: leaks.mails(host)[len(sent) :], bool)
    assert mail.startswith("To: oncall@example.com\n")
    assert "Subject:  bot crashed at " in mail
    assert f"exited unexpectedly (pid {before['myauth:bot']})" in mail


def test_a_program_that_is_stopped_is_not_told_of(host: Any) -> None:
    sent = leaks.mails(host)
    server.run(host, "supervisorctl restart myauth:bot")
    leaks.all_running(host)
    assert leaks.mails(host) == sent
