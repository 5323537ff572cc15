# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files are refused, by supervisor's own parser and beyond it, and how one is put in place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import files, supervisord
from ansible_collections.allianceauth.tuning.plugins.modules import supervisor_config

RIGHT = "[program:worker]\ncommand = /bin/sleep 1\n[group:myauth]\nprograms = worker\n"


@pytest.fixture
def conf_d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the include folder of a server of one's own."""
    # As the module does first of all; what the parser says in its child has to be read all the same.
    import supervisor.options  # noqa: F401

    main = tmp_path / "supervisord.conf"
    main.write_text("[supervisord]\n[include]\nfiles = conf.d/*.conf\n")
    monkeypatch.setattr(supervisord, "MAIN_CONF", str(main))
    (tmp_path / "conf.d").mkdir()
    return tmp_path / "conf.d"


def check(conf_d: Path, content: str, before: str | None = None, **more: Any) -> list[str]:
    given = {
        "path": str(conf_d / "myauth.conf"),
        "link": str(conf_d.parent / "supervisor.conf"),
        "application": {},
        "restore": None,
        "discard": [],
        "pending": [],
        "log_dir": "",
        **more,
    }
    return supervisor_config.check(given, before, content)


def test_a_right_file_is_not_refused(conf_d: Path) -> None:
    assert check(conf_d, RIGHT) == []


WRONG = [
    ("numprocs = 2", "process_name"),
    ("user = nobody-of-that-name", "nobody-of-that-name"),
    ("stopsignal = STOPIT", "STOPIT"),
    ("startsecs = soon", "soon"),
    ("command = %(nothing)s", "nothing"),
]


@pytest.mark.parametrize(("line", "named"), WRONG)
def test_what_the_parser_refuses_is_told_in_its_own_sentence(conf_d: Path, line: str, named: str) -> None:
    (sentence,) = check(conf_d, RIGHT.replace("[group", f"{line}\n[group"))
    assert sentence.startswith("supervisor refuses the configuration with the new file in it: ")
    assert named in sentence
    assert not list(conf_d.iterdir())


def test_a_folder_for_logs_that_is_yet_to_be_made_counts_as_its_parent(conf_d: Path) -> None:
    folder = str(conf_d.parent / "logs/myauth")
    content = RIGHT.replace("[group", f"stdout_logfile = {folder}/worker.log\n[group")
    assert check(conf_d, content, log_dir=folder) == []
    (sentence,) = check(conf_d, content)
    assert f"The directory named as part of the path {folder}/worker.log does not exist" in sentence
    assert not Path(folder).exists()


@pytest.mark.parametrize("log", ["worker.log", "/worker.log", "AUTO", "NONE"])
def test_a_log_without_a_folder_of_its_own_is_not_refused(conf_d: Path, log: str) -> None:
    assert check(conf_d, RIGHT.replace("[group", f"stdout_logfile = {log}\n[group")) == []


def test_a_place_that_supervisord_does_not_include_is_refused(conf_d: Path) -> None:
    elsewhere = str(conf_d.parent / "elsewhere/myauth.conf")
    (sentence,) = check(conf_d, RIGHT, path=elsewhere)
    assert f"supervisord includes neither {elsewhere}" in sentence
    assert check(conf_d, RIGHT, path=elsewhere, link=str(conf_d / "myauth.conf")) == []


def test_a_limit_for_a_name_that_two_processes_have_is_refused(conf_d: Path) -> None:
    (conf_d / "other.conf").write_text("[program:other]\ncommand = /bin/true\nprocess_name = worker\n")
    watcher = "[eventlistener:memmon_worker]\ncommand = /venv/memmon -p worker=1GB\nevents = TICK_60\n"
    (sentence,) = check(conf_d, RIGHT + watcher, pending=["/venv/memmon"])
    assert "worker, which has a memory limit, exists in the groups myauth and other" in sentence


def test_a_broken_neighbour_is_told_with_its_file(conf_d: Path) -> None:
    (conf_d / "other.conf").write_text("[program:other]\n")
    (sentence,) = check(conf_d, RIGHT)
    assert "conf.d/other.conf" in sentence


def test_a_neighbour_of_the_same_name_is_told(conf_d: Path) -> None:
    (conf_d / "other.conf").write_text("[program:worker]\ncommand = /bin/true\n")
    (sentence,) = check(conf_d, RIGHT)
    assert f"{conf_d}/other.conf defines [program:worker] as well" in sentence


def test_a_command_and_folders_that_are_not_there_are_told(conf_d: Path) -> None:
    lines = "command = /nowhere/celery\ndirectory = /nowhere\n"
    sentences = check(conf_d, RIGHT.replace("command = /bin/sleep 1\n", lines))
    assert [sentence.split()[:3] for sentence in sentences] == [
        ["/nowhere/celery", "does", "not"],
        ["the", "directory", "/nowhere"],
    ]
    assert check(conf_d, RIGHT.replace("/bin/sleep", "/nowhere/celery"), pending=["/nowhere/celery"]) == []


def test_a_file_that_would_drop_a_program_is_refused_before_anything_else(conf_d: Path) -> None:
    before = RIGHT + "[program:authbot]\ncommand = /bin/true\n"
    (sentence,) = check(conf_d, RIGHT, before)
    assert "auth_extra_programs.authbot" in sentence
    assert "auth_discard" in sentence
    assert check(conf_d, RIGHT, before, discard=["program:authbot"]) == []
    # Going back is meant to undo.
    assert check(conf_d, RIGHT, before, restore="newest") == []


def test_a_file_that_is_put_in_place_is_right_and_a_changed_one_is_not(tmp_path: Path) -> None:
    path, uid, gid = tmp_path / "myauth.conf", os.getuid(), os.getgid()
    files.replace_file(str(path), RIGHT, uid, gid)
    assert supervisor_config.file_is_right(str(path), RIGHT, uid, gid)
    assert not supervisor_config.file_is_right(str(path), RIGHT + "\n", uid, gid)
    path.chmod(0o666)
    assert not supervisor_config.file_is_right(str(path), RIGHT, uid, gid)
