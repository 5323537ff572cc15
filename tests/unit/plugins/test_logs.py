# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where processes log, and what is shown of it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import log_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import logs, variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared

from tests.unit.plugins import rendering

COMMANDS = {
    "beat": "celery",
    "worker_00": "celery",
    "worker_01": "celery",
    "gunicorn": "gunicorn",
    "memmon_worker_00": "memmon",
    "memmon_worker_01": "memmon",
}
FAKE = '#!/bin/sh\necho "$0 $@"\necho "$0 $@" >&2\nexec sleep 999\n'

Start = Callable[[str], Any]
Wait = Callable[[Callable[[], object]], None]

OWN = "/var/log/supervisor/myauth"


def declare(defaults: dict[str, Any], **given: Any) -> Declared:
    declared, refusals = variables.declare({**defaults, **given}, "auth1")
    assert refusals == []
    return declared


@pytest.mark.parametrize("value", ["NONE", "Auto", "syslog", "/dev/stdout"])
def test_what_is_no_file_gets_no_number(value: str) -> None:
    assert log_file.numbered(value, 2) == value


@pytest.mark.parametrize("value", ["/mnt/worker.log", "/mnt/x.y/worker"])
def test_the_number_of_a_process_is_read_back(value: str) -> None:
    assert log_file.unnumbered(log_file.numbered(value, 2), "2") == value


def test_the_number_of_a_single_process_is_part_of_the_name() -> None:
    assert log_file.unnumbered("/mnt/worker_%(process_num)02d.log", "1") == "/mnt/worker_00.log"
    assert log_file.unnumbered("/mnt/worker%(process_num)d", "1") == "/mnt/worker0"


def test_settings_of_a_program_say_where_it_logs(defaults: dict[str, Any]) -> None:
    def options(**settings: Any) -> dict[str, str]:
        declared = declare(defaults, auth_worker_numprocs=2, auth_program_settings={"worker": settings})
        return logs.options(declared, declared.workers[0])

    rotation = {"stdout_logfile_maxbytes": "50MB", "stdout_logfile_backups": "10"}
    both = {"redirect_stderr": "true", **rotation}
    assert options() == {"stdout_logfile": f"{OWN}/worker_%(process_num)02d.log", **both}
    assert options(stdout_logfile="/m/5%.log") == {"stdout_logfile": "/m/5%%_%(process_num)02d.log", **both}
    one_file = options(stdout_logfile="/m/a", stderr_logfile="/m/a", stdout_logfile_backups=3)
    assert one_file == {"stdout_logfile": "/m/a_%(process_num)02d", **both, "stdout_logfile_backups": "3"}
    assert options(stderr_logfile="/m/errors.log") == {
        "stdout_logfile": f"{OWN}/worker_%(process_num)02d.log",
        "stderr_logfile": "/m/errors_%(process_num)02d.log",
        **rotation,
        "stderr_logfile_maxbytes": "50MB",
        "stderr_logfile_backups": "10",
    }


def test_a_log_that_two_programs_are_given_is_told(defaults: dict[str, Any]) -> None:
    log = {"stdout_logfile": "/m/celery.log"}
    (said,) = logs.shared(declare(defaults, auth_program_settings={"beat": log, "worker": log}))
    assert said.startswith("beat's stdout_logfile and worker's stdout_logfile name one file, /m/celery.log, which each")
    assert logs.shared(declare(defaults, auth_worker_numprocs=3)) == []


def test_a_log_elsewhere_is_shown_with_its_place(defaults: dict[str, Any]) -> None:
    settings = {"worker": {"stdout_logfile": "/m/celery.log"}, "beat": {"stdout_logfile": "syslog"}}
    declared = declare(defaults, auth_worker_numprocs=3, auth_program_settings=settings)
    shown = {program.name: logs.shown(declared, program) for program in declared.programs}
    assert shown == {
        "beat": "syslog",
        "worker": "/m/celery_00.log to /m/celery_02.log",
        "gunicorn": "gunicorn.log",
    }


def test_a_supervisord_writes_each_of_them_and_none_twice(
    defaults: dict[str, Any], supervisord: Start, wait: Wait, tmp_path: Path
) -> None:
    binaries, folder = tmp_path / "bin", tmp_path / "logs"
    for path in (binaries, folder):
        path.mkdir()
    for name in ("celery", "gunicorn", "memmon"):
        (binaries / name).write_text(FAKE)
        (binaries / name).chmod(0o755)
    user = pwd.getpwuid(os.getuid()).pw_name
    places = {"auth_venv": str(tmp_path), "auth_project_dir": str(tmp_path), "auth_log_dir": str(folder)}
    given = {**defaults, **places, "auth_user": user, "auth_memmon_user": user, "auth_worker_numprocs": 2}
    declared, refusals = variables.declare(given, "auth1")
    assert refusals == []
    info = rendering.look(given)
    # Of both sections of the daemon itself, which the fixture writes.
    info["venv"]["template_environment"] = False
    supervisord(rendering.render(declared, info).replace("priority = 998", "startsecs = 0"))
    # A listener's stdout is what supervisord understands.
    lines = {name: 1 if name.startswith("memmon") else 2 for name in COMMANDS}

    def said() -> dict[str, list[str]]:
        return {path.stem: path.read_text().splitlines() for path in folder.iterdir()}

    wait(lambda: {name: len(found) for name, found in said().items()} == lines)
    for name, found in said().items():
        assert all(f"/bin/{COMMANDS[name]} " in line for line in found)
        assert not name.startswith("worker") or all(f"-n {name}@" in line for line in found)
