# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that show when the new configuration runs, or does not: the previous one comes back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from shared import faults, play, playbook, server

BACK = "The previous supervisor.conf is back, and its programs run."


def test_a_port_that_is_taken(host: Any) -> None:
    before = server.configuration(host)
    with faults.taken(host, 8001):
        run = play.run("apply", auth_gunicorn_bind="127.0.0.1:8001", auth_worker_handover=True)
        said = play.verdict(run)
        assert server.healthy(host)
    # The worker that took tasks meanwhile has the configuration that failed.
    assert "Have another worker of each pool take tasks meanwhile" in run.output
    assert server.none_serves(host)
    assert server.configuration(host) == before
    assert f"{server.name(host)}: " in said
    assert "myauth:gunicorn" in said
    assert "Connection in use: ('127.0.0.1', 8001)" in said
    assert BACK in said


@pytest.mark.thorough
def test_an_option_that_celery_does_not_know(host: Any) -> None:
    before = server.configuration(host)
    said = play.verdict(play.run("apply", auth_workers=[{"name": "worker", "options": ["--no-such-option"]}]))
    assert server.healthy(host)
    assert server.configuration(host) == before
    assert f"{server.name(host)}: " in said
    assert "myauth:worker_00" in said
    assert re.search("No such option:? '?--no-such-option", said)
    assert BACK in said


def test_a_worker_that_cannot_run_ends_the_run_before_anything_stops(host: Any) -> None:
    before, daemon = server.configuration(host), server.run(host, "supervisorctl pid")
    bad = [{"name": "worker", "options": ["--no-such-option"]}]
    said = play.verdict(play.run("apply", auth_workers=bad, auth_worker_handover=True))
    assert "the new configuration does not work, so nothing was stopped: a worker like myauth:worker_00" in said
    assert re.search("No such option:? '?--no-such-option", said)
    assert server.run(host, "supervisorctl pid") == daemon
    assert server.healthy(host)
    assert server.configuration(host) == before
    assert server.none_serves(host)


@pytest.mark.thorough
def test_a_bad_file_of_a_killed_run_is_replaced_by_the_one_before(host: Any) -> None:
    before = server.configuration(host)
    bad = {"auth_workers": [{"name": "worker", "options": ["--no-such-option"]}]}
    assert play.run("apply", "--tags", "configure", **bad).status == 0
    assert server.configuration(host) != before
    said = play.verdict(play.run("apply", **bad))
    # By supervisord, or by Celery where the worker takes longer to die than supervisord looks.
    assert "worker_00" in said
    assert BACK in said
    assert server.healthy(host)
    assert server.configuration(host) == before


@pytest.mark.thorough
def test_a_memmon_that_cannot_start(host: Any) -> None:
    before = server.configuration(host)
    reason = "memmon: no memory is watched today"
    script = f"""#!/bin/sh\ncase "$*" in *300MB*) echo '{reason}' >&2; exit 1;; esac\nexec REAL "$@"\n"""
    with faults.replaced(host, f"{server.VENV}/bin/memmon", script):
        said = play.verdict(play.run("apply", auth_worker_memory_limit="300MB"))
        assert server.healthy(host)
    assert server.configuration(host) == before
    assert f"{server.name(host)}: " in said
    assert reason in said
    assert BACK in said


def test_a_task_longer_than_its_time_calls_the_run_off_and_its_worker_works_on(host: Any) -> None:
    before, worker = server.configuration(host), server.pid(host, "worker_00")
    server.keep_busy(host, "patient")
    said = play.verdict(play.run("apply", auth_worker_concurrency=8, auth_worker_stopwaitsecs=20))
    assert server.healthy(host)
    assert server.configuration(host) == before
    assert f"{server.name(host)}: worker_00 (lab_tasks.sleep for " in said
    assert "did not stop in time, so the run was called off. What was stopped was started again." in said
    assert "worker_00 takes tasks again." in said
    assert "told to finish" not in said
    # Beside the one that hangs.
    sent = server.send(host, 3, 0, "beside")
    expected = {key: ["start", "end"] for key in sent}
    assert server.wait(lambda: server.ledger(host, "beside-"), lambda tasks: tasks == expected) == expected
    assert not server.done(host, "patient")
    assert server.pid(host, "worker_00") == worker
    assert "auth_worker_stopwaitsecs" in said
    assert "auth_drain_timeout_action=kill" in said
    assert server.done_once_released(host, "patient")


@pytest.mark.thorough
def test_a_task_longer_than_its_time_is_given_up_by_name(host: Any) -> None:
    server.keep_busy(host, "doomed")
    run = play.run("apply", auth_worker_concurrency=9, auth_drain_timeout_action="kill")
    assert run.status == 0
    said = " ".join(run.output.split())
    assert f"{server.name(host)}: killed after their time: worker_00 (lab_tasks.sleep for " in said
    assert "The tasks they ran are lost." in said
    assert server.healthy(host)
    assert "--concurrency=9" in server.arguments(host)["worker_00"]
    assert server.ledger(host, "doomed-") == {"doomed-0": ["start"]}


@pytest.mark.thorough
def test_a_worker_that_ignores_its_signal_calls_the_run_off(host: Any) -> None:
    before = server.configuration(host)
    with faults.frozen(host, "worker_00") as frozen:
        given = {"auth_worker_concurrency": 8, "auth_worker_stopwaitsecs": 20, "auth_worker_handover": True}
        said = play.verdict(play.run("apply", **given))
        assert server.healthy(host)
        assert server.pid(host, "worker_00") == frozen
        # The only supervised worker takes no tasks, and they are done all the same.
        sent = server.send(host, 2, 0, "unfrozen")
        expected = {key: ["start", "end"] for key in sent}
        assert server.wait(lambda: server.ledger(host, "unfrozen-"), lambda tasks: tasks == expected) == expected
        concurrency = re.findall(r"--concurrency=(\d+)", " ".join(server.arguments(host)["worker_00"]))
        idle = play.run("apply", auth_worker_concurrency=int(concurrency[0]))
        assert idle.status == 0
        assert "a worker that an earlier run left to take tasks is still there" in " ".join(idle.output.split())
    assert server.configuration(host) == before
    assert f"{server.name(host)}: worker_00 " in said
    assert "did not stop in time, so the run was called off. What was stopped was started again." in said
    assert "worker_00 was told to finish: it takes no new task until supervisord has started it again." in said
    assert "Another worker takes the tasks of worker until the next run that restarts ends it" in said
    # Now it hears the signal, and supervisord starts it again.
    assert server.wait(lambda: server.pid(host, "worker_00"), lambda now: now not in ("0", frozen)) != frozen
    # As the run has said, to the letter.
    (advice,) = re.findall(r"or you do \(sudo (systemctl stop [^)]+)\)", said)
    server.run(host, advice)
    # Its process is a moment old.
    assert server.wait(lambda: server.healthy(host), bool)


@pytest.mark.thorough
def test_a_worker_that_ignores_its_signal_is_killed_by_name(host: Any) -> None:
    with faults.frozen(host, "worker_00"):
        run = play.run("apply", auth_worker_concurrency=7, auth_drain_timeout_action="kill")
        assert run.status == 0
        assert f"{server.name(host)}: killed after their time: worker_00" in " ".join(run.output.split())
        assert server.healthy(host)
    assert "--concurrency=7" in server.arguments(host)["worker_00"]


def test_a_file_that_cannot_be_put_back_keeps_nothing_from_being_started(host: Any) -> None:
    before = server.configuration(host)
    server.keep_busy(host, "unlucky")
    run = play.start("apply", auth_worker_concurrency=8, auth_worker_stopwaitsecs=20)
    assert server.wait(lambda: server.configuration(host), lambda now: now != before) != before
    # From now on supervisor's parser refuses whatever is put in place.
    with faults.written(host, f"{server.CONF_D}/neighbour.conf", "[program:neighbour]\n"):
        said = play.verdict(playbook.finish(run))
        assert server.healthy(host)
    assert "did not stop in time, so the run was called off" in said
    assert "program:neighbour" in said
    assert "What supervisord knows was started, but supervisor.conf could not be put back" in said
    assert server.done_once_released(host, "unlucky")
    assert server.wait(lambda: server.healthy(host), bool)
    # It has not proved itself, so nobody goes back to it once it has been replaced.
    assert play.run("rollback").status == 0
    assert "--concurrency=8" not in server.configuration(host)
    assert server.healthy(host)


@pytest.mark.thorough
def test_a_worker_with_a_title_in_the_place_of_its_command_works_on_as_well(host: Any) -> None:
    """With the package setproctitle, Celery and gunicorn show titles."""
    pip, workers = (
        f"{server.VENV}/bin/python -m pip",
        "supervisorctl restart myauth:worker_00 myauth:beat myauth:gunicorn",
    )
    server.as_user(host, f"{pip} install -q --disable-pip-version-check setproctitle")
    server.run(host, workers)

    def titles() -> str:
        found = [server.pid(host, name) for name in ("worker_00", "beat", "gunicorn")]
        return server.run(host, f"ps -o args= -p {','.join(found)}")

    shown = server.wait(
        titles, lambda text: all(word in text for word in ("[celeryd: ", "[celery beat]", "gunicorn: "))
    )
    assert "/bin/celery" not in shown
    worker = server.pid(host, "worker_00")
    server.keep_busy(host, "titled")
    said = play.verdict(play.run("apply", auth_worker_concurrency=6, auth_worker_stopwaitsecs=20))
    assert f"{server.name(host)}: worker_00 (lab_tasks.sleep for " in said
    assert "worker_00 takes tasks again." in said
    assert server.pid(host, "worker_00") == worker
    assert server.healthy(host)
    assert server.done_once_released(host, "titled")
    # What needs no drain that is called off works as well.
    assert play.run("apply", auth_worker_concurrency=6).status == 0
    assert server.healthy(host)
    assert server.none_serves(host)
