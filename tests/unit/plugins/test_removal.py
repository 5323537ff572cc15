# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbook remove decides, puts back and takes away, on a server made of folders."""

from __future__ import annotations

import grp
import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import removal
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import files, origin, proof, supervisord
from ansible_collections.allianceauth.tuning.plugins.modules import auth_belongings, log_links, supervisor_config

STOCK = "[program:worker]\ncommand = /bin/sleep 1\n[group:myauth]\nprograms = worker\n"
NOWHERE: dict[str, Any] = {"files": [], "by_hand": [], "logs": [], "brought": []}


class Ended(Exception):
    """A module has ended; its result is the argument."""


class Server:
    """A server whose supervisord includes one folder; modules run on it in this process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path, self.own = root / "conf.d/myauth.conf", root / "project/supervisor.conf"
        self.gunicorn_conf, self.drop_in = root / "myauth.gunicorn.py", root / "drop-in.conf"
        self.logs, self.project_logs = root / "logs", root / "project/log"
        for folder in (self.path.parent, self.logs, self.project_logs):
            folder.mkdir(parents=True)
        self.own.write_text(STOCK)
        self.path.symlink_to(self.own)
        (self.project_logs / "worker.log").write_text("before\n")

    def tune(self, number: int = 2) -> None:
        """Do what an apply does."""
        log = f"sleep {number}\nstdout_logfile = {self.logs}/worker.log"
        text = managed_file.complete(STOCK.replace("sleep 1", log), {})
        origin.note("myauth", str(self.path), str(self.own))
        if self.path.is_symlink():
            files.keep(str(self.path), STOCK, "2026-11-22T10-00-00Z", os.getuid(), os.getgid())
        files.replace_file(str(self.path), text, os.getuid(), os.getgid())
        files.put_link(str(self.own), str(self.path), "")
        self.gunicorn_conf.write_text("reuse_port = True\n")
        self.drop_in.write_text("[Service]\n")
        (self.logs / "worker.log").write_text("meanwhile\n")
        link = str(self.project_logs / "worker.log")
        files.put_link(link, str(self.logs / "worker.log"), f"{link}.2026-11-22T10-00-00Z")

    def found(self) -> dict[str, tuple[str, str]]:
        """Return what there is, by path: where a link leads, or what a file holds."""
        paths = [path for path in sorted(self.root.rglob("*")) if path.is_symlink() or path.is_file()]
        return {
            str(path.relative_to(self.root)): ("link", os.readlink(path))
            if path.is_symlink()
            else ("file", path.read_text())
            for path in paths
        }

    def restore(self, check: bool = False) -> dict[str, Any]:
        me, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        first = {"name": "myauth", "user": me, "project_dir": str(self.root / "project")}
        places = {"log_dir": str(self.logs), "gunicorn_conf": str(self.gunicorn_conf)}
        given = {
            "path": str(self.path),
            "link": str(self.own),
            "restore": "first",
            "first": {**first, **places},
            "owner": me,
            "group": group,
            "application": {},
            "log_dir": "",
            "guard": {},
        }
        return run(supervisor_config.work, given, check)

    def belongings(self, state: str = "listed", check: bool = False) -> dict[str, Any]:
        given = {
            "state": state,
            "name": "myauth",
            "user": pwd.getpwuid(os.getuid()).pw_name,
            "project_dir": str(self.root / "project"),
            "path": str(self.path),
            "log_dir": str(self.logs),
            "gunicorn_conf": str(self.gunicorn_conf),
            "files": [str(self.gunicorn_conf)],
            "host_files": [str(self.drop_in)],
            "guard": {},
        }
        return run(auth_belongings.work, given, check)


def run(work: Callable[[Any], None], given: dict[str, Any], check: bool) -> dict[str, Any]:
    def end(**result: Any) -> None:
        raise Ended(result)

    module = SimpleNamespace(
        params=given, check_mode=check, exit_json=end, fail_json=lambda **result: end(failed=True, **result), warn=print
    )
    with pytest.raises(Ended) as ended:
        work(module)
    return dict(ended.value.args[0])


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    # As the module does first of all; what the parser says in its child has to be read all the same.
    import supervisor.options  # noqa: F401

    main = tmp_path / "supervisord.conf"
    main.write_text("[supervisord]\n[include]\nfiles = server/conf.d/*.conf\n")
    monkeypatch.setattr(supervisord, "MAIN_CONF", str(main))
    monkeypatch.setattr(proof, "FOLDER", str(tmp_path / "lib"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    # The link is where the guide has it, in the folder of this server.
    monkeypatch.setattr(auth_belongings, "link_to", lambda _path, _name, folder: f"{folder}/supervisor.conf")
    return Server(tmp_path / "server")


def take_links_away(server: Server) -> None:
    log = str(server.logs / "worker.log")
    log_links.take_away(str(server.project_logs / "worker.log"), log, False)


def test_a_stock_server_has_nothing_to_give_back(server: Server) -> None:
    before = server.found()
    found = server.belongings()
    assert (found["origin"], found["in_place"], found["files"], found["logs"]) == ("nothing", True, [], [])
    assert not server.restore()["changed"]
    assert server.found() == before


def test_all_is_as_before_and_logs_move(server: Server) -> None:
    before = server.found()
    server.tune()
    tuned = server.found()
    assert server.restore(check=True)["changed"]
    assert server.belongings("absent", check=True)["changed"]
    assert server.found() == tuned
    result = server.restore()
    assert (result["changed"], result["restored"]) == (True, "noted")
    # What a revert needs.
    assert (server.path.parent / result["undo"]).read_text() == tuned["conf.d/myauth.conf"][1]
    take_links_away(server)
    assert server.belongings("absent")["changed"]
    after = server.found()
    (moved,) = set(after) - set(before)
    assert moved.startswith("project/log/worker.log.")
    assert after.pop(moved) == ("file", "meanwhile\n")
    assert after == before
    assert not server.logs.exists()
    assert not Path(proof.FOLDER).exists()
    assert not server.belongings("absent")["changed"]


def other_program(server: Server, name: str) -> None:
    """Have another file of supervisord's with a program that logs into our folder."""
    text = f"[program:{name}]\ncommand = /bin/sleep 1\nstdout_logfile = {server.logs}/{name}.log\n"
    (server.path.parent / f"{name}.conf").write_text(text)


def test_a_folder_of_everybodys_keeps_what_others_log_there(server: Server) -> None:
    other_program(server, "shop")
    theirs = ["shop.log", "shop.log.1", "supervisord.log", "notes.txt"]
    for name in theirs:
        (server.logs / name).write_text("theirs\n")
    server.tune()
    (server.logs / "worker.log.1").write_text("rotated\n")
    ours = [str(server.logs / "worker.log"), str(server.logs / "worker.log.1")]
    assert server.belongings()["logs"] == ours
    server.restore()
    take_links_away(server)
    assert len(server.belongings("absent")["logs"]) == len(ours)
    assert sorted(path.name for path in server.logs.iterdir()) == sorted(theirs)
    again = server.belongings("absent")
    assert (again["changed"], again["logs"]) == (False, [])


def test_the_folder_that_the_first_file_logs_into_stays(server: Server) -> None:
    server.own.write_text(STOCK.replace("sleep 1", f"sleep 1\nstdout_logfile = {server.logs}/worker.log"))
    (server.logs / "worker.log.1").write_text("before\n")
    server.tune()
    assert server.belongings()["logs"] == []
    server.restore()
    take_links_away(server)
    server.belongings("absent")
    assert sorted(path.name for path in server.logs.iterdir()) == ["worker.log", "worker.log.1"]


@pytest.mark.parametrize("option", ["childlogdir = {logs}", "logfile = {logs}/supervisord.log"])
def test_the_folder_that_supervisord_needs_stays_though_it_is_empty(server: Server, option: str) -> None:
    main = Path(supervisord.MAIN_CONF)
    main.write_text(main.read_text().replace("[supervisord]", f"[supervisord]\n{option.format(logs=server.logs)}"))
    server.tune()
    server.restore()
    take_links_away(server)
    server.belongings("absent")
    assert list(server.logs.iterdir()) == []


def test_no_log_goes_while_supervisor_refuses_the_configuration(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.tune()
    server.restore()
    take_links_away(server)
    (server.path.parent / "shop.conf").write_text("[program:shop]\n")
    assert server.belongings("absent")["logs"] == []
    assert "nobody can tell which of them are still written" in capsys.readouterr().out
    assert (server.logs / "worker.log").exists()
    assert not server.gunicorn_conf.exists()


def test_the_hosts_files_go_with_the_last_project(server: Server) -> None:
    server.tune()
    note = Path(proof.FOLDER) / "shop.origin.json"
    note.write_text("{}")
    server.restore()
    server.belongings("absent")
    assert not server.gunicorn_conf.exists()
    assert server.drop_in.exists()
    note.unlink()
    server.belongings("absent")
    assert not server.drop_in.exists()


def test_what_somebody_has_written_stays(server: Server) -> None:
    server.tune()
    edited = server.path.read_text() + "; mine\n"
    kept = files.keep(str(server.path), edited, "2026-11-23T10-00-00Z", os.getuid(), os.getgid())
    server.restore()
    assert server.belongings("absent")["by_hand"] == [kept]
    assert Path(kept).read_text() == edited


def test_a_file_that_supervisor_refuses_is_not_put_back(server: Server) -> None:
    server.tune()
    note = Path(proof.FOLDER) / "myauth.origin.json"
    noted = json.loads(note.read_text())
    noted["text"] = noted["places"][str(server.own)]["text"] = STOCK.replace("[program:worker]", "[program:other]")
    note.write_text(json.dumps(noted))
    before = server.found()
    result = server.restore()
    assert result["failed"]
    assert "was not replaced: supervisor refuses the configuration" in result["msg"]
    assert server.found() == before


FILES = SimpleNamespace(path="/etc/myauth.conf", project_logs="/p/log")


def test_the_plan_names_each_thing_with_what_becomes_of_it() -> None:
    belongings = {
        **NOWHERE,
        "origin": "noted",
        "in_place": False,
        "files": ["/etc/gunicorn.py"],
        "logs": ["/logs/worker.log"],
        "brought": ["superlance", "supervisor"],
    }
    actions = removal.actions(belongings, ["/logs/worker.log"], FILES, uninstalls=True, installed=True)
    assert list(actions) == ["restore", "unlink_logs", "uninstall", "clean"]
    assert actions["restore"] == ["/etc/myauth.conf: as before the first run"]
    assert actions["clean"] == ["/etc/gunicorn.py: gone", "/logs/worker.log: in /p/log, with a date"]
    assert "uninstall" not in removal.actions(belongings, [], FILES, uninstalls=False, installed=True)
    assert removal.warnings(belongings, FILES, True, True, "/venv") == []


def test_what_cannot_be_given_back_is_told_before() -> None:
    belongings = {**NOWHERE, "origin": "present", "in_place": False, "by_hand": ["/etc/.kept"]}
    first, second, third = removal.warnings(belongings, FILES, True, True, "/venv")
    assert "is not kept any more" in first
    assert "/venv/bin/pip uninstall superlance" in second
    assert "/etc/.kept" in third


def test_nothing_is_decided_where_nothing_is() -> None:
    belongings = {**NOWHERE, "origin": "nothing", "in_place": True}
    assert removal.actions(belongings, [], FILES, uninstalls=True, installed=True) == {}
    assert removal.warnings(belongings, FILES, True, True, "/venv") == []
    plan: dict[str, Any] = {"actions": {}}
    assert removal.lines("a", plan, False, False) == ["", "a: nothing to do, this collection has nothing here."]
