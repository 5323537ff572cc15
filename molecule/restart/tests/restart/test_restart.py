# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New code comes into service: what is said of it, what goes on meanwhile, and what is refused.

The tests build on each other, as one upgrade follows another on a server.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from restart import app
from shared import play, playbook, server, servers

from lab.observe import counts
from lab.observe.traffic import traffic
from lab.podman import engine, hosts

WHEELS = "/opt/lab/wheels"
OLDER = "What runs is older than what is installed"

# Without a time of its own to stop, so that systemd need not wait longer for supervisord.
NEIGHBOUR = "[program:neighbour]\ncommand=/bin/sleep infinity\nstopwaitsecs=0\n"

# For the pools worker and, by its queue, worker_services; see lab/on_host/load.py.
TASKS = ("0.5:0.1", "2:1", "1.5:0.1:queue=services", "1:0.1:countdown=1-20")

# Queues a task of the app by its name: the sender runs no version of it.
SEND = """
import sys
from myauth.celery import app
name, seconds, key, countdown = sys.argv[1:]
app.send_task(name, kwargs={"seconds": float(seconds), "key": key}, countdown=float(countdown) or None)
"""

# Two a second, until its standard input ends.
STREAM = """
import sys, threading
from myauth.celery import app
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
number = 0
while not stop.wait(0.5):
    key = f"{sys.argv[1]}-{number}"
    app.send_task("lab_app.common", kwargs={"seconds": 0, "key": key})
    print(key, flush=True)
    number += 1
"""


@pytest.fixture(scope="module", autouse=True)
def _wheels(host: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("wheels")
    for version in app.VERSIONS:
        app.write(folder, version)
    (machine,) = hosts.existing(servers.LAB)
    engine.podman("cp", f"{folder}/.", f"{machine.container}:{WHEELS}")
    server.run(host, f"chmod -R a+rX {WHEELS}")
    write = f"printf %s {shlex.quote(NEIGHBOUR)} > {server.CONF_D}/neighbour.conf"
    server.run(host, f"{write} && supervisorctl update neighbour")


def install(host: Any, version: str, tool: str = "pip") -> None:
    """Install a version of the app as an admin does; a lower one or the same as well."""
    python = f"{server.VENV}/bin/python"
    how = {"pip": f"{python} -m pip install -q --force-reinstall", "uv": f"{server.VENV}/bin/uv pip install -q"}[tool]
    target = f"--python {python}" if tool == "uv" else "--disable-pip-version-check"
    server.as_user(host, f"{how} {target} --no-deps --no-index {WHEELS}/lab_app-{version}-py3-none-any.whl")


def queue(host: Any, name: str, key: str, seconds: float = 0, countdown: float = 0) -> None:
    words = [f"{server.VENV}/bin/python", "-c", SEND, name, str(seconds), key, str(countdown)]
    server.as_user(host, shlex.join(words))


def pids(host: Any) -> dict[str, str]:
    """Return the process numbers by supervisor's names, and supervisord's own."""
    rows = [line.split() for line in host.run("supervisorctl status").stdout.splitlines()]
    found = {row[0]: row[3].rstrip(",") for row in rows if row[1] == "RUNNING"}
    return {**found, "supervisord": server.run(host, "supervisorctl pid").strip()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def lines(host: Any, prefix: str) -> list[dict[str, Any]]:
    """Return the ledger's lines of the keys that begin so, in the order of time."""
    text = server.run(host, "cat /var/lib/lab/ledger.jsonl")
    found = [json.loads(line) for line in text.splitlines()]
    return sorted((line for line in found if line["key"].startswith(prefix)), key=lambda line: float(line["time"]))


def words(run: playbook.Run) -> str:
    """Return what a run said, however its lines were broken."""
    return " ".join(run.output.split())


@contextmanager
def stream(prefix: str) -> Iterator[list[str]]:
    """Queue the app's common task all the time; the keys are there once it has ended."""
    (machine,) = hosts.existing(servers.LAB)
    keys: list[str] = []
    python = ["--user", server.USER, "--workdir", server.PROJECT, machine.container, f"{server.VENV}/bin/python"]
    command = engine.command("exec", "--interactive", *python, "-c", STREAM, prefix)
    with (
        tempfile.TemporaryFile("w+") as sent,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sent, text=True) as sender,
    ):
        try:
            yield keys
        finally:
            sender.communicate()
            sent.seek(0)
            keys += sent.read().split()


def test_apply_names_what_is_newer_and_what_brings_it_into_service(host: Any) -> None:
    assert OLDER not in words(play.run("apply", "--check"))
    install(host, "1.0")
    settings = f"{server.PROJECT}/myauth/settings/local.py"
    server.as_user(host, f"echo 'INSTALLED_APPS += [\"lab_app\"]' >> {settings}")
    run = play.run("apply")
    assert sum(run.changed.values()) == 0
    assert f"{OLDER}: beat, gunicorn, worker_00, worker_services_00 (since " in words(run)
    # The run that has tuned the server has kept which versions came into service.
    assert "lab-app 1.0 (new), the project (local.py). To bring that into service: ansible-playbook" in words(run)


def test_a_restart_brings_it_into_service_and_supervisord_and_neighbours_run_on(host: Any) -> None:
    before = pids(host)
    run = play.run("restart")
    assert run.status == 0
    assert "comes into service what is newer than" in words(run)
    assert "supervisord runs on" in words(run)
    after = pids(host)
    assert set(before) == set(after)
    assert changed(before, after) == set(before) - {"supervisord", "neighbour"}
    queue(host, "lab_app.only_1", "first")
    assert server.wait(lambda: server.ledger(host, "first"), bool)
    assert OLDER not in words(play.run("apply", "--check"))


def restart_under_load(host: Any, key: str, gone: str = "") -> tuple[playbook.Run, dict[str, tuple[str, float]]]:
    """Restart while tasks come, visitors too, and an old worker holds a task; nobody notices and no task is lost.

    With ``gone``, a task that only the old code has, the site of before queues two of it once the new code takes tasks.

    Returns the run, and which version began each of the common tasks when.
    """
    queue(host, "lab_app.common", f"held-{key}", seconds=1800)
    assert server.wait(lambda: server.ledger(host, f"held-{key}"), bool) == {f"held-{key}": ["start"]}
    old = lines(host, f"held-{key}")[0]["worker"]
    (machine,) = hosts.existing(servers.LAB)
    with traffic(machine, key, TASKS, seconds=3600) as going, stream(f"stream-{key}") as keys:
        running = play.start("restart")
        # The other programs wait for the task that it runs.
        server.await_pause(host)
        # Somebody takes what beat queues, and the tasks that come, long before the one that is held has ended.
        assert server.states(host)["myauth:beat"] == "RUNNING"
        server.wait(lambda: {line["worker"] for line in lines(host, f"stream-{key}-")}, lambda found: len(found) > 1)
        if gone:
            for number in range(2):
                queue(host, gone, f"gone-{key}-{number}")
        server.release(host, f"held-{key}")
        run = playbook.finish(running)
    assert run.status == 0
    counted = going.settle(300)
    assert (counted.lost, counted.doubled, counted.early) == ((), (), ())
    assert counts.failed(going.requests) == []
    assert [status for status in going.answered if status >= 499] == []
    assert "a second gunicorn answered for the site meanwhile" in words(run)
    assert keys
    events = server.wait(lambda: server.ledger(host, f"stream-{key}-"), lambda found: set(found) >= set(keys))
    assert events == {sent: ["start", "end"] for sent in keys}
    held = [(line["event"], line["worker"]) for line in lines(host, f"held-{key}")]
    assert held == [("start", old), ("end", old)]
    begun = {
        line["key"]: (line["worker"], float(line["time"]))
        for line in lines(host, f"stream-{key}-")
        if line["event"] == "start"
    }
    return run, begun


def test_under_load_nobody_notices_and_no_task_is_lost(host: Any) -> None:
    server.as_user(host, f"{server.VENV}/bin/python -m pip install -q --disable-pip-version-check uv")
    install(host, "1.1", "uv")
    assert "began before lab-app 1.0 -> 1.1. To bring" in words(play.run("apply", "--check"))
    run, begun = restart_under_load(host, "alike")
    # Both versions have the same tasks.
    assert "another worker took the tasks of worker" in words(run)
    assert {version for version, _time in begun.values()} == {"1.0", "1.1"}


def test_code_with_other_tasks_never_shares_a_queue_with_the_old_one(host: Any) -> None:
    install(host, "2.0")
    run, begun = restart_under_load(host, "other", gone="lab_app.only_1")
    assert ": 2 of lab_app.only_1. Queue again what you miss" in words(run)
    assert server.ledger(host, "gone-other-") == {}
    assert "another worker took the tasks of worker once the old ones took none any more" in words(run)
    assert server.run(host, "redis-cli keys '_kombu.binding.allianceauth*'").split() == []
    times = {version: [at for which, at in begun.values() if which == version] for version in ("1.1", "2.0")}
    assert max(times["1.1"]) < min(times["2.0"])
    # What the new code queues, and the old one does not have, is done once.
    queued = {f"only-{key}" for key, (version, _time) in begun.items() if version == "2.0"}
    done = server.wait(lambda: server.ledger(host, "only-stream-other-"), lambda found: set(found) >= queued)
    assert done == {key: ["start", "end"] for key in queued}


def test_one_program_alone(host: Any) -> None:
    before = pids(host)
    assert play.run("restart", "-e", "auth_restart_only=beat").status == 0
    assert changed(before, pids(host)) == {"myauth:beat"}


def refused(host: Any, *arguments: str, job: str = "restart") -> str:
    """Run a restart, or another job, that is refused; return its sentence. Nothing has stopped."""
    before = pids(host)
    said = play.verdict(play.run(job, *arguments))
    assert pids(host) == before
    assert server.healthy(host)
    assert said.startswith(server.run(host, "hostname").strip())
    return said


def test_a_task_that_only_the_old_code_has_and_that_waits_ends_the_run(host: Any) -> None:
    # More than the worker runs and holds at once.
    keys = server.send(host, 30, 1800, "fill")
    queue(host, "lab_app.only_2", "waits")
    queue(host, "lab_app.only_2", "held-for-its-time", countdown=7200)
    install(host, "1.0")
    said = refused(host)
    assert "1 of lab_app.only_2 (in the queue celery)" in said or "2 of lab_app.only_2 (in the queue" in said
    assert "auth_restart_lose_tasks" in said
    server.run(host, "touch " + " ".join(f"/var/lib/lab/release-{key}" for key in keys))
    assert server.wait(lambda: server.ledger(host, "waits").get("waits"), lambda found: found == ["start", "end"])
    # The other one is held by the worker now.
    assert "1 of lab_app.only_2 (held by worker_00@" in refused(host)
    install(host, "2.0")


def test_a_version_that_does_not_load_is_refused(host: Any) -> None:
    install(host, "3.0")
    said = refused(host)
    assert "does not load, so nothing was stopped: " in said
    assert "No module named 'no_such_module_of_the_lab'" in said
    install(host, "2.0")


def test_a_migration_that_is_not_applied_is_refused(host: Any) -> None:
    install(host, "4.0")
    said = refused(host, "-e", "auth_restart_only=beat")
    assert "these migrations are not applied: lab_app.0001_initial; apply them (manage.py migrate)" in said
    # So is a change of the configuration, which would bring it into service as well.
    file = server.configuration(host)
    said = refused(host, *playbook.extra_vars({"auth_worker_concurrency": 7}), job="apply")
    assert "nothing was stopped, for these migrations are not applied: lab_app.0001_initial" in said
    assert server.configuration(host) == file
    # So is the way back to the file of before, which would bring it into service as well.
    said = refused(host, job="rollback")
    assert "nothing was stopped, for these migrations are not applied: lab_app.0001_initial" in said
    assert server.configuration(host) == file
    # A variable allows it; beat alone, to be quick. It may queue a task that the workers do not have.
    allowed = ("-e", "auth_restart_only=beat", "-e", "auth_restart_unmigrated=true")
    said = refused(host, *allowed)
    assert "nothing was stopped, for the workers that run on would discard tasks" in said
    assert "they do not have: lab_app.only_4; restart all programs" in said
    assert play.run("restart", *allowed, "-e", "auth_restart_lose_tasks=true").status == 0


def test_requirements_that_are_not_met_are_a_warning(host: Any) -> None:
    install(host, "2.1")
    run = play.run("restart", "-e", "auth_restart_only=beat")
    assert run.status == 0
    assert "lab-app 2.1 needs allianceauth>=99, and 5.5.0 is installed" in words(run)


def test_a_start_after_a_drain_looks_at_what_was_installed_meanwhile(host: Any) -> None:
    install(host, "2.0")
    assert play.run("restart").status == 0
    assert play.run("drain").status == 0
    install(host, "3.0")
    said = play.verdict(play.run("start"))
    assert "does not load, so nothing was started: " in said
    assert "No module named 'no_such_module_of_the_lab'" in said
    assert server.states(host)["myauth:gunicorn"] == "STOPPED"
    install(host, "2.1")
    run = play.run("start")
    assert run.status == 0
    assert "comes into service what has changed since the last restart: lab-app 2.0 -> 2.1" in words(run)
    assert "lab-app 2.1 needs allianceauth>=99" in words(run)
    assert server.healthy(host)
    # It is no news at the next one.
    assert play.run("drain").status == 0
    again = play.run("start")
    assert again.status == 0
    assert "with this start comes into service" not in words(again)


@pytest.mark.thorough
def test_what_fails_after_the_stop_is_told_with_its_first_cause(host: Any) -> None:
    celery = f"{server.VENV}/bin/celery"
    server.run(host, f"cp -p {celery} {celery}.whole")
    broken = '1a import sys\\nif "beat" in sys.argv: sys.exit("beat is broken")'
    server.run(host, f"sed -i {shlex.quote(broken)} {celery}")
    said = play.verdict(play.run("restart", "-e", "auth_restart_only=beat"))
    # Its last words are the last lines of its log.
    assert re.search(r"supervisord gave up starting myauth:beat: .* / beat is broken\. To start again", said)
    assert "To start again what ran before failed as well" in said
    server.run(host, f"mv {celery}.whole {celery}")
    assert play.run("start").status == 0
    assert server.healthy(host)


def test_a_program_that_is_none_is_refused(host: Any) -> None:
    said = play.verdict(play.run("restart", "-e", "auth_restart_only=workr"))
    assert "auth_restart_only is 'workr'" in said
