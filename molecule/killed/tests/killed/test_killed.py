# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL for the controller while a run is at a certain stage, then the same run again.

The first of these finds a stock server, where superlance is still to be installed.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from shared import playbook, server


@dataclass(frozen=True)
class Stage:
    """A stage of a run, which begins with a line of the output that matches `sign`.

    `awaits` is a command that succeeds on the server once it has begun there, too, `leaves`
    one that succeeds after a kill in it; `seconds` is how long the tasks take that run
    meanwhile.
    """

    name: str
    sign: str
    awaits: str = ""
    leaves: str = ""
    seconds: float = 4


def task(name: str) -> str:
    """Return the pattern of the line that announces a task."""
    return rf"^TASK \[(allianceauth\.tuning\.auth : )?{re.escape(name)}\]"


# The one that the run starts has a file of its own for its number. The brackets keep pgrep's own shell out.
SECOND_GUNICORN = "pgrep -f '[g]unicorn.* --pid /tmp/'"
# No end of a login session ends it, and systemd does after a while.
SCOPE = "allianceauth-tuning-myauth-gunicorn-*.scope"
IN_ITS_SCOPE = (
    f"grep '/allianceauth-tuning-myauth-gunicorn-.*[.]scope$' /proc/$({SECOND_GUNICORN} | head -1)/cgroup"
    f" && systemctl show --property=RuntimeMaxUSec --value '{SCOPE}' | grep 17min"
)

STAGES = [
    Stage(
        "while superlance is installed", task("Install superlance into the venv"), awaits="pgrep -f '[p]ip.* install'"
    ),
    Stage("after the look", task("Decide what to do")),
    Stage("with the lock", task("Put supervisor.conf and the link to it in place")),
    Stage("after the new file", task("Drain the workers together, and beat")),
    # Its first line comes 5 s after the drain begins, and that may take long on a slow machine.
    Stage("in mid-drain", r"waiting for .*worker_00 \(lab_tasks\.sleep for ", seconds=40),
    # systemd may have been told already, and then it restarts supervisord whoever waits for it.
    Stage("between drain and restart", task("Restart supervisord")),
    # The site stops in a moment, and the restart follows.
    Stage("with a second gunicorn", task("Stop the site"), leaves=IN_ITS_SCOPE),
    # They come up without it, and then the workers that took tasks meanwhile are left to be ended. A supervisord that
    # does not answer yet is waited for too, but would be found not to answer: so not its line.
    Stage("while the programs start", r"waiting for .*worker_00 \(.*, \d+ s so far"),
    Stage("in verify", task("Ask every Celery node for its pool")),
]


@contextmanager
def controller(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the playbook; whatever is left of it in the end is killed, workers and their ssh too."""
    run = playbook.start("apply", *arguments)
    try:
        yield run
    finally:
        playbook.kill(run)
        run.communicate()


def kill(host: Any, stage: Stage, *arguments: str) -> None:
    """Start a run and kill its controller at a stage."""
    with controller(*arguments) as run:
        assert run.stdout
        for line in run.stdout:
            print(line, end="")
            if re.search(stage.sign, line):
                break
        else:
            pytest.fail(f"The run ended with {run.wait()} and did not come to where it was to be killed.")
        while stage.awaits and host.run(stage.awaits).rc != 0:
            assert run.poll() is None, "The run was over before it was killed."
            time.sleep(0.1)
        assert run.poll() is None, "The run was over before it was killed."
    print("-- killed")
    assert host.run(stage.leaves or "true").rc == 0


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param(stage, marks=[] if stage.name == "in mid-drain" else pytest.mark.thorough, id=stage.name)
        for stage in STAGES
    ],
)
def test_a_run_after_a_killed_one_does_the_rest_and_no_task_is_lost(host: Any, stage: Stage) -> None:
    concurrency = 5 + STAGES.index(stage)
    variables = playbook.extra_vars({"auth_worker_concurrency": concurrency})
    # More than the workers have slots, so that some are still queued when they stop.
    prefix = f"killed-{STAGES.index(stage)}-"
    sent = server.send(host, 2 * concurrency, stage.seconds, prefix.rstrip("-"))
    daemon = server.run(host, "supervisorctl pid")

    kill(host, stage, *variables)
    again = playbook.apply(*variables)
    assert again.status == 0
    (changed,) = again.changed.values()
    assert changed
    last = playbook.apply(*variables)
    assert last.status == 0
    assert set(last.changed.values()) == {0}

    # Either of the two has restarted it.
    assert server.run(host, "supervisorctl pid") != daemon
    assert set(server.states(host).values()) == {"RUNNING"}
    assert server.wait(lambda: host.run(SECOND_GUNICORN).rc, bool) == 1
    assert server.none_serves(host)
    assert f"--concurrency={concurrency}" in server.arguments(host)["worker_00"]
    expected = {key: ["start", "end"] for key in sent}
    done = server.wait(lambda: server.ledger(host, prefix), lambda tasks: tasks == expected)
    assert done == expected
