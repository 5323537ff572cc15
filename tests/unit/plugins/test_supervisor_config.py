# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files are refused, by supervisor's own parser and beyond it, and how one is put in place."""

from __future__ import annotations

import configparser
import errno
import grp
import os
import pwd
import re
from collections.abc import Callable
from glob import glob
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import backup_name
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    files,
    preflight,
    proof,
    supervisor_parser,
    supervisord,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import supervisord as rpc
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


def check(conf_d: Path, content: str, **more: Any) -> list[str]:
    problems, _waiting = supervisor_config.check(arguments(conf_d, **more), content)
    return problems


def arguments(conf_d: Path, **more: Any) -> dict[str, Any]:
    return {
        "path": str(conf_d / "myauth.conf"),
        "link": str(conf_d.parent / "supervisor.conf"),
        "application": {},
        "restore": None,
        "discard": [],
        "pending": [],
        "log_dir": "",
        "group": "root",
        **more,
    }


def test_a_right_file_is_not_refused(conf_d: Path) -> None:
    assert check(conf_d, RIGHT) == []


@pytest.mark.parametrize(
    ("lines", "errors_in"),
    [
        ("", "stderr"),
        ("stderr_logfile = NONE", ""),
        ("redirect_stderr = true", "stdout"),
        ("redirect_stderr = true\nstdout_logfile = NONE", ""),
        ("stderr_logfile = /dev/null", "stderr"),
    ],
)
def test_it_is_known_which_log_has_a_programs_errors(conf_d: Path, lines: str, errors_in: str) -> None:
    (conf_d / "myauth.conf").write_text(RIGHT.replace("sleep 1\n", f"sleep 1\n{lines}\n"))
    (group,) = supervisor_parser.effective(str(conf_d.parent / "supervisord.conf"))["groups"]
    assert group["processes"][0]["errors_in"] == errors_in


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
    assert sentence == f"{conf_d}/other.conf defines [program:worker] as well: rename it there"


def test_the_live_file_of_another_name_is_told_once_with_what_has_the_role_write_it(conf_d: Path) -> None:
    live = conf_d / "allianceauth.conf"
    (conf_d.parent / "supervisor.conf").write_text(RIGHT)
    live.symlink_to(conf_d.parent / "supervisor.conf")
    (sentence,) = check(conf_d, RIGHT)
    assert f"{live} is the file from which supervisord loads these programs now" in sentence
    assert "[program:worker], [group:myauth]" in sentence
    assert "remove" not in sentence
    # What it says is done, and then the role writes that file.
    (place,) = re.findall(r"set auth_supervisor_conf: (\S+) to", sentence)
    assert check(conf_d, RIGHT, path=place) == []


def test_a_copy_beside_the_file_of_the_role_is_not_taken_for_the_live_one(conf_d: Path) -> None:
    for name in ("myauth.conf", "copy.conf"):
        (conf_d / name).write_text(RIGHT)
    (sentence,) = check(conf_d, RIGHT)
    assert sentence == f"{conf_d}/copy.conf defines [program:worker] and [group:myauth] as well: rename them there"


def test_the_live_file_of_another_name_is_replaced_where_the_role_is_told_to_write_it(run: Any, conf_d: Path) -> None:
    live, link = conf_d / "allianceauth.conf", conf_d.parent / "supervisor.conf"
    link.write_text(RIGHT)
    live.symlink_to(link)
    assert "failed" not in run(content=sections(2), path=str(live))
    assert (live.is_symlink(), link.is_symlink()) == (False, True)
    assert "sleep 2" in live.read_text()
    # What ran before is kept, for going back.
    assert run(restore="list", path=str(live))["backups"]


def chown(owners: str) -> str:
    return f"[unix_http_server]\nfile = /run/x.sock\nchmod = 0770\nchown = {owners}\n"


# As the template has it.
NARROW = RIGHT + "[unix_http_server]\nchmod = 0770\nchown = root:daemon\n"


@pytest.fixture
def agent(conf_d: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Have the main file admit the group nogroup, whose one member is nobody; return the groups that this one is in."""
    nobody = pwd.getpwnam("nobody")
    assert nobody.pw_uid in preflight._members(nobody.pw_gid)
    monkeypatch.setattr(preflight, "_members", lambda _gid: [nobody.pw_uid])
    main, joined = conf_d.parent / "supervisord.conf", {"nogroup"}
    main.write_text(main.read_text() + chown("root:nogroup"))
    lists = os.getgrouplist

    def groups(name: str, gid: int) -> list[int]:
        return [grp.getgrnam(one).gr_gid for one in joined] if name == "nobody" else lists(name, gid)

    monkeypatch.setattr(os, "getgrouplist", groups)
    return joined


def test_a_group_that_would_lose_the_socket_is_told_and_each_way_out_is_one(conf_d: Path, agent: set[str]) -> None:
    main = conf_d.parent / "supervisord.conf"
    (sentence,) = check(conf_d, NARROW)
    assert sentence.startswith(
        f"the group nogroup may connect to /run/x.sock by chown in [unix_http_server] of {main}, and could not any more"
    )
    # With auth_memmon_user: root, the template has no such section.
    assert "set auth_memmon_user: root" in sentence
    assert check(conf_d, RIGHT) == []
    assert "add nobody to the group daemon" in sentence
    agent.add("daemon")
    assert check(conf_d, NARROW) == []
    agent.remove("daemon")
    assert f"take that chown out of {main}" in sentence
    main.write_text(main.read_text().replace("chown = root:nogroup\n", ""))
    assert check(conf_d, NARROW) == []


def test_a_section_in_the_file_that_goes_is_moved_first(conf_d: Path) -> None:
    main, mine = conf_d.parent / "supervisord.conf", conf_d / "myauth.conf"
    mine.write_text(RIGHT + chown("root:nogroup"))
    (sentence,) = check(conf_d, RIGHT + "[unix_http_server]\nfile = /run/x.sock\n")
    assert f"move that section into a file that stays, supervisor's main one, before {mine} is replaced" in sentence
    mine.write_text(RIGHT)
    main.write_text(main.read_text() + chown("root:nogroup"))
    assert check(conf_d, RIGHT) == []


@pytest.mark.parametrize("more", [{"restore": "newest"}, {"group": "nogroup"}])
def test_going_back_and_what_the_role_has_given_are_no_loss(
    conf_d: Path, agent: set[str], more: dict[str, str]
) -> None:
    assert check(conf_d, NARROW, **more) == []


@pytest.mark.parametrize(
    ("words", "told", "not_told"),
    [
        ("redis.exceptions.ConnectionError: Error 111 connecting to 10.0.0.5:6379.", "Redis does not answer", "repair"),
        (
            "django_redis.exceptions.ConnectionInterrupted: Redis ConnectionError: Error 111",
            "Redis does not answer",
            "repair",
        ),
        ("ModuleNotFoundError: No module named 'redis'", "myauth does not load any more", "Redis does"),
        (
            "redis.exceptions.AuthenticationError: Authentication required.",
            "myauth does not load any more",
            "Redis does",
        ),
    ],
)
def test_a_project_that_does_not_load_without_redis_is_told_from_a_broken_one(
    conf_d: Path, words: str, told: str, not_told: str
) -> None:
    python = conf_d.parent / "bin/python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\necho Traceback >&2\necho "{words}" >&2\nexit 1\n')
    python.chmod(0o755)
    folder, me = str(conf_d.parent), pwd.getpwuid(os.getuid()).pw_name
    application = {"venv": folder, "project": "myauth", "project_dir": folder, "user": me}
    (sentence,) = check(conf_d, RIGHT, application=application)
    assert sentence.startswith(told)
    assert words.rstrip(".") in sentence
    assert not_told not in sentence


def test_a_command_and_folders_that_are_not_there_are_told(conf_d: Path) -> None:
    lines = "command = /nowhere/celery\ndirectory = /nowhere\n"
    sentences = check(conf_d, RIGHT.replace("command = /bin/sleep 1\n", lines))
    assert [sentence.split()[:3] for sentence in sentences] == [
        ["/nowhere/celery", "does", "not"],
        ["the", "directory", "/nowhere"],
    ]
    assert check(conf_d, RIGHT.replace("/bin/sleep", "/nowhere/celery"), pending=["/nowhere/celery"]) == []


def test_what_a_file_would_drop_is_told_unless_it_is_put_back(conf_d: Path) -> None:
    before = RIGHT + "[program:authbot]\ncommand = /bin/true\n"
    found = supervisor_config.value_changes(arguments(conf_d), before, RIGHT)
    assert [change["section"] for change in found if change["chosen"]] == ["program:authbot"]
    discarding = arguments(conf_d, discard=["program:authbot"])
    assert [change["chosen"] for change in supervisor_config.value_changes(discarding, before, RIGHT)] == [False]
    # Going back is meant to undo.
    assert supervisor_config.value_changes(arguments(conf_d, restore="newest"), before, RIGHT) == []


PORT = "[inet_http_server]\nport = 9001\n"
BOT = "[program:authbot]\ncommand = /bin/true\n"


MEMMON = "[eventlistener:memmon_bot]\ncommand = /v/bin/memmon -p bot=100MB\nevents = TICK_60\n"
GROUP, MINFDS = "[group:bots]\nprograms = bot\n", "[supervisord]\nminfds = 2048\n"


@pytest.mark.parametrize("more", [PORT, BOT, GROUP, MINFDS, MEMMON])
def test_what_another_file_has_as_well_is_not_lost(conf_d: Path, more: str) -> None:
    (section,) = re.findall(r"\[(\S+)\]", more)

    def asked() -> list[str]:
        found = supervisor_config.value_changes(arguments(conf_d), mine.read_text(), RIGHT)
        sections = {section, "eventlistener:memmon"} if section.startswith("eventlistener") else {section}
        return [str(change["hint"]) for change in found if change["chosen"] and change["section"] in sections]

    mine, other = conf_d / "myauth.conf", conf_d / "other.conf"
    mine.write_text(RIGHT + more)
    other.write_text("[program:bot]\ncommand = /bin/true\n")
    if section == "eventlistener:memmon_bot":
        assert asked()
    elif section != "program:authbot":
        (hint,) = asked()
        assert "cut it out here and put it into a file of its own in conf.d" in hint
    else:
        assert len(asked()) == 1
    # The project's folder may lead to that file, and is none of the others then.
    (conf_d.parent / "supervisor.conf").symlink_to(mine)
    assert asked()
    # Copied there, and then cut out here.
    other.write_text(other.read_text() + more)
    assert asked() == []
    mine.write_text(RIGHT)
    assert asked() == []


def test_what_another_file_has_with_another_value_is_asked_about(conf_d: Path) -> None:
    mine = conf_d / "myauth.conf"
    mine.write_text(RIGHT + PORT)
    (conf_d / "other.conf").write_text(PORT.replace("9001", "127.0.0.1:9002"))
    found = supervisor_config.value_changes(arguments(conf_d), mine.read_text(), RIGHT)
    assert [(change["section"], change["chosen"]) for change in found] == [("inet_http_server", True)]


@pytest.mark.parametrize(("arguments_now", "file"), [("", "gunicorn.conf.py"), (" -c site.py", "site.py")])
def test_an_address_out_of_gunicorns_own_file_does_not_move_unsaid(conf_d: Path, arguments_now: str, file: str) -> None:
    section = f"[program:gunicorn]\ndirectory = {conf_d.parent}\ncommand = /venv/bin/gunicorn myauth.wsgi"
    (conf_d.parent / file).write_text("bind = '127.0.0.1:8080'\n")
    after = RIGHT + section + arguments_now
    found = supervisor_config.value_changes(
        arguments(conf_d), RIGHT + section + arguments_now, f"{after} --bind 127.0.0.1:8000"
    )
    assert [(change["item"], change["now"], change["then"], change["hint"]) for change in found] == [
        ("--bind", "127.0.0.1:8080", "127.0.0.1:8000", "change it in your web server too")
    ]
    # It stays with the file.
    assert supervisor_config.value_changes(arguments(conf_d), after, after) == []


@pytest.mark.parametrize(("before", "line"), [("TOKEN=x\n" + RIGHT, 1), ("[program:a]\nTOKEN\n", 2)])
def test_a_present_file_that_cannot_be_read_is_told_by_its_line(conf_d: Path, before: str, line: int) -> None:
    with pytest.raises(configparser.Error) as caught:
        supervisor_config.value_changes(arguments(conf_d), before, RIGHT)
    assert supervisor_config.unreadable_line(caught.value) == line


def test_a_file_that_is_put_in_place_is_right_and_a_changed_one_is_not(tmp_path: Path) -> None:
    path, uid, gid = tmp_path / "myauth.conf", os.getuid(), os.getgid()
    files.replace_file(str(path), RIGHT, uid, gid)
    assert supervisor_config.file_is_right(str(path), RIGHT, uid, gid)
    assert not supervisor_config.file_is_right(str(path), RIGHT + "\n", uid, gid)
    path.chmod(0o666)
    assert not supervisor_config.file_is_right(str(path), RIGHT, uid, gid)


class Ended(Exception):
    """The module has ended; with its result."""


class Module:
    """What a module's work needs of `AnsibleModule`, whose process ends with it."""

    check_mode = False

    def __init__(self, conf_d: Path, **more: Any) -> None:
        self.params: dict[str, Any] = {
            "path": str(conf_d / "myauth.conf"),
            "link": str(conf_d.parent / "supervisor.conf"),
            "content": None,
            "environments": None,
            "restore": None,
            "keep": True,
            "discard": [],
            "pending": [],
            "log_dir": "",
            "application": {},
            "owner": pwd.getpwuid(os.getuid()).pw_name,
            "group": grp.getgrgid(os.getgid()).gr_name,
            "guard": {"name": "myauth"},
            **more,
        }

    def exit_json(self, **result: Any) -> None:
        raise Ended(result)

    def fail_json(self, msg: str, **result: Any) -> None:
        raise Ended({**result, "failed": True, "msg": msg})


@pytest.fixture
def run(conf_d: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Run the module on a server of one's own; each run is a second after the one before."""
    monkeypatch.setattr(proof, "FOLDER", str(tmp_path / "lib"))
    stamps = (f"2026-11-22T10-00-{number:02d}Z" for number in count())
    monkeypatch.setattr(backup_name, "now", lambda: next(stamps))
    nowhere = conf_d.parent / "nowhere.conf"
    nowhere.write_text(f"[supervisorctl]\nserverurl = unix://{tmp_path}/nowhere.sock\n")
    daemon = rpc.Daemon
    monkeypatch.setattr(rpc, "Daemon", lambda main=str(nowhere): daemon(main))

    def ran(**more: Any) -> dict[str, Any]:
        module: Any = Module(conf_d, **more)
        with pytest.raises(Ended) as ended:
            supervisor_config.work(module)
        return dict(ended.value.args[0])

    return ran


def sections(number: int) -> str:
    return RIGHT.replace("sleep 1\n", f"sleep {number}\n")


def proves_itself(conf_d: Path) -> None:
    proof.passed("myauth", (conf_d / "myauth.conf").read_text())


def test_going_back_never_chooses_a_file_that_a_run_which_was_cut_off_has_left(run: Any, conf_d: Path) -> None:
    run(content=sections(1))
    proves_itself(conf_d)
    first = (conf_d / "myauth.conf").read_text()
    run(content=sections(2))
    # That one was cut off, and here is the next one.
    run(content=sections(3))
    proves_itself(conf_d)
    assert [kept["proven"] for kept in run(restore="list")["backups"]] == [True, False]
    assert run(restore="newest")["changed"]
    assert (conf_d / "myauth.conf").read_text() == first
    # Whoever asks for it gets it.
    (unproven,) = [kept["file"] for kept in run(restore="list")["backups"] if not kept["proven"]]
    assert run(restore=Path(unproven).name)["restored"] == unproven


def test_where_only_such_a_file_is_kept_there_is_nothing_to_go_back_to(run: Any, conf_d: Path) -> None:
    run(content=sections(1))
    run(content=sections(2))
    now = (conf_d / "myauth.conf").read_text()
    ended = run(restore="newest")
    assert ended["failed"]
    assert "by a run that was cut off: myauth.conf.2026-11-22T10-00-01Z" in ended["msg"]
    assert (conf_d / "myauth.conf").read_text() == now


def test_the_list_of_what_is_kept_says_how_each_differs_and_no_secret(run: Any) -> None:
    run(content=sections(1))
    by_hand = sections(2).replace("[group", 'environment = TOKEN="not for the screen"\n[group')
    run(content=by_hand)
    run(content=sections(3))
    first, second = run(restore="list")["backups"]
    assert {"-command = /bin/sleep 3", "+command = /bin/sleep 1"} <= set(first["differs"])
    assert "+environment = (not shown)" in second["differs"]
    assert "not for the screen" not in str([first, second])


def test_no_include_pattern_loads_what_is_kept_and_what_was_kept_before_is_still_found(run: Any, conf_d: Path) -> None:
    (conf_d / "myauth.conf.2026-11-21T10-00-00Z").write_text(RIGHT)
    run(content=sections(1))
    proves_itself(conf_d)
    run(content=sections(2))
    assert [path.name for path in map(Path, glob(f"{conf_d}/*"))] == ["myauth.conf"]
    kept = [Path(one["file"]).name for one in run(restore="list")["backups"]]
    assert kept == [".myauth.conf.2026-11-21T10-00-00Z", ".myauth.conf.2026-11-22T10-00-01Z"]
    # By the name that an earlier version has told, too.
    assert run(restore="myauth.conf.2026-11-21T10-00-00Z")["changed"]
    assert (conf_d / "myauth.conf").read_text() == RIGHT


def test_what_supervisord_loaded_by_the_link_before_can_be_gone_back_to(run: Any, conf_d: Path) -> None:
    link = conf_d.parent / "supervisor.conf"
    link.write_text(RIGHT)
    ended = run(content=sections(2), discard=["program:worker.command"])
    assert link.is_symlink()
    undone = run(restore=ended["undo"], keep=False)
    assert (undone["changed"], undone.get("failed")) == (True, None)
    assert link.read_text() == RIGHT


def test_where_there_was_nothing_going_back_means_nothing(run: Any, conf_d: Path) -> None:
    ended = run(content=sections(1))
    assert ended["undo"] == "absent"
    assert run(restore="absent")["changed"]
    assert not list(conf_d.iterdir())
    assert not os.path.lexists(conf_d.parent / "supervisor.conf")
    assert not run(restore="absent")["changed"]


def test_a_file_that_is_put_in_place_with_the_same_text_needs_no_undoing(run: Any, conf_d: Path) -> None:
    run(content=sections(1))
    (conf_d / "myauth.conf").chmod(0o644)
    ended = run(content=sections(1))
    assert (ended["changed"], ended["undo"]) == (True, "")


def test_a_full_disk_has_room_for_another_name_of_what_is_kept(
    run: Any, conf_d: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(content=sections(1))
    first = (conf_d / "myauth.conf").read_text()
    undo = run(content=sections(2))["undo"]

    def full(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_write", full)
    assert run(restore=undo, keep=False)["changed"]
    assert (conf_d / "myauth.conf").read_text() == first
    ended = run(content=sections(3), keep=False)
    assert ended["msg"].startswith("No space left on device while writing")
    assert (conf_d / "myauth.conf").read_text() == first


def test_a_file_whose_programs_all_run_has_proved_itself_though_nobody_verified_it(
    run: Any, conf_d: Path, supervisord: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = supervisord(
        "[program:worker]\ncommand = /bin/sleep 1000\nstartsecs = 0\n[group:myauth]\nprograms=worker\n"
    )
    monkeypatch.setattr(rpc, "Daemon", lambda: running.daemon)
    run(content=sections(1))
    run(content=sections(2))
    assert [kept["proven"] for kept in run(restore="list")["backups"]] == [True]
    running.daemon.call("stopProcess", "myauth:worker")
    run(content=sections(3))
    assert [kept["proven"] for kept in run(restore="list")["backups"]] == [True, False]
    running.daemon.call("startProcess", "myauth:worker")
    main = running.folder / "supervisord.conf"
    main.write_text(main.read_text().replace("sleep 1000", "sleep 2000"))
    run(content=sections(4))
    assert [kept["proven"] for kept in run(restore="list")["backups"]] == [True, False, False]
