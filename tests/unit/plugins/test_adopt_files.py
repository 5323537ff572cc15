# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What adopt writes is read by Ansible, beside all that it has read before, once what it says has been done."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.action import auth_adopt
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import adopt, adopt_files, consent

HOST = "auth1"

# Text that Ansible would take for something else: a template, a list, a number.
ODD = ['{{ 7 * 6 }} "it\'s"', "{% raw %}", "{'a': 1}", "[1, 2]", "007", "no", "größer: #1", "a\\b"]

KEEPABLE = {
    "section": "program:worker",
    "item": "--concurrency",
    "now": "8",
    "then": "15",
    "keeps": [(("auth_worker_concurrency",), 8)],
    "settled_by": [("auth_worker_concurrency",)],
    "hint": "",
    "reason": "",
}


def run(folder: Path, *arguments: str) -> str:
    """Run a command of ansible-core's and return its output."""
    command = str(Path(sys.executable).parent / arguments[0])
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_HOME": str(folder / ".ansible")}
    given = [command, *arguments[1:]]
    done = subprocess.run(given, check=False, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read_by_ansible(folder: Path, inventory: str, names: Iterable[str]) -> dict[str, Any]:
    """Return the variables that a host has, expanded."""
    play = [
        {
            "hosts": HOST,
            "gather_facts": False,
            "connection": "local",
            "tasks": [
                {
                    "ansible.builtin.copy": {
                        "dest": str(folder / "seen.json"),
                        "content": "{{ {" + ", ".join(f"'{name}': {name}" for name in names) + "} | to_json }}",
                        "mode": "0600",
                    }
                }
            ],
        }
    ]
    (folder / "play.yml").write_text(json.dumps(play))
    run(folder, "ansible-playbook", "-i", inventory, "play.yml", "-e", f"ansible_python_interpreter={sys.executable}")
    found: dict[str, Any] = json.loads((folder / "seen.json").read_text())
    return found


def put(folder: Path, variables: dict[str, Any]) -> None:
    text, secrets, _count = adopt.texts(variables, (), "2026-11-29")
    adopt_files.write(str(folder), adopt_files.VARIABLES, text, 0o644)
    adopt_files.write(str(folder), adopt_files.SECRETS, secrets, 0o600)


@pytest.fixture
def servers(tmp_path: Path) -> Path:
    folder = tmp_path / "my servers"
    (folder / "group_vars").mkdir(parents=True)
    (folder / "hosts.yml").write_text(json.dumps({"auth_servers": {"hosts": {HOST: {"of_the_host": 1}}}}))
    (folder / "group_vars/auth_servers.yml").write_text("of_the_group: 2\nauth_worker_concurrency: 15\n")
    return folder


def test_what_is_written_is_what_ansible_reads(servers: Path) -> None:
    target = adopt_files.target([str(servers)], str(servers / "hosts.yml"), HOST, str(servers.parent))
    assert target == adopt_files.Target(str(servers / "host_vars" / HOST))
    odd = {f"V{number}": adopt.Secret(text) for number, text in enumerate(ODD)}
    bot = {"command": ["/bin/echo", *ODD], "environment": odd}
    common = {f"V{number}": adopt.Secret(text) for number, text in enumerate(ODD[4:])}
    variables = {"auth_worker_concurrency": 8, "auth_extra_programs": {"bot": bot}, "auth_environment": common}
    put(Path(target.folder), variables)
    secrets = Path(target.folder) / adopt_files.SECRETS
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert not any(text in (Path(target.folder) / adopt_files.VARIABLES).read_text() for text in ("V0: '{{ 7",))
    names = [*variables, "of_the_group", "of_the_host"]
    expected = {**variables, "of_the_group": 2, "of_the_host": 1}
    assert read_by_ansible(servers.parent, str(servers), names) == expected
    # The command that encrypts it, and then.
    (servers.parent / "password").write_text("x")
    run(servers.parent, "ansible-vault", "encrypt", "--vault-password-file", "password", str(secrets))
    os.environ["ANSIBLE_VAULT_PASSWORD_FILE"] = str(servers.parent / "password")
    try:
        assert read_by_ansible(servers.parent, str(servers), names) == expected
    finally:
        del os.environ["ANSIBLE_VAULT_PASSWORD_FILE"]


@pytest.mark.parametrize("suffix", ["", ".yml", ".yaml", ".json"])
def test_a_file_that_a_folder_would_hide_is_still_read(servers: Path, suffix: str) -> None:
    (servers / "host_vars").mkdir()
    mine = {"mine": 3, "auth_worker_concurrency": 12}
    (servers / "host_vars" / f"{HOST}{suffix}").write_text(json.dumps(mine))
    here = servers.parent / "here"
    target = adopt_files.target([str(servers / "hosts.yml")], str(servers / "hosts.yml"), HOST, str(here))
    assert target.folder == str(here / "adopt" / HOST)
    put(Path(target.folder), {"auth_worker_concurrency": 8, "auth_environment": {"A": adopt.Secret("x")}})
    names = ["mine", "of_the_group", "of_the_host", "auth_worker_concurrency"]
    before = {"mine": 3, "of_the_group": 2, "of_the_host": 1, "auth_worker_concurrency": 12}
    assert read_by_ansible(servers.parent, str(servers), names) == before
    subprocess.run(target.command, shell=True, check=True)
    assert read_by_ansible(servers.parent, str(servers), names) == {**before, "auth_worker_concurrency": 8}
    # From now on there is a place for it.
    assert adopt_files.target([str(servers)], "", HOST, str(here)).why == ""


def test_an_inventory_that_is_no_file_gets_one_beside_what_is_there(tmp_path: Path) -> None:
    made = tmp_path / "my-servers"
    kept = {
        made / "hosts.yml": '{"auth_servers": {"hosts": {"auth0": {}}}}',
        made / "host_vars" / HOST / "x.yml": "x: 1\n",
    }
    for path, text in kept.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for number, host in enumerate((HOST, "auth2")):
        target = adopt_files.target([], "", host, str(tmp_path))
        assert "is no file" in target.why
        variables = {"auth_worker_concurrency": 8 + number, "auth_environment": {"A": adopt.Secret("x")}}
        put(Path(target.folder), variables)
        subprocess.run(target.command, shell=True, check=True)
        # Once more, as somebody might after an edit: that stays.
        edited = made / f"{host}.yml"
        edited.write_text(edited.read_text() + "# mine\n")
        kept[edited] = edited.read_text()
        subprocess.run(target.command, shell=True, check=False, stderr=subprocess.DEVNULL)
        put(Path(target.folder), {**variables, "auth_worker_concurrency": 1})
        subprocess.run(target.command, shell=True, check=False, stderr=subprocess.DEVNULL)
    assert {path: path.read_text() for path in kept} == kept
    assert not list(made.glob("host_vars/*/auth*/"))
    found = read_by_ansible(tmp_path, str(made), ["auth_worker_concurrency", "group_names", "x", "groups"])
    assert (found["auth_worker_concurrency"], found["group_names"], found["x"]) == (8, ["auth_servers"], 1)
    assert sorted(found["groups"]["auth_servers"]) == ["auth0", HOST, "auth2"]


@pytest.mark.parametrize("has_folder", [False, True])
def test_what_apply_has_one_put_into_a_file_is_read_from_there(servers: Path, has_folder: bool) -> None:
    if has_folder:
        # adopt was here.
        put(servers / "host_vars" / HOST, {"auth_worker_numprocs": 4})
    (servers / "host_vars").mkdir(exist_ok=True)
    place = adopt_files.read_from([str(servers / "hosts.yml")], HOST)
    lines = consent.question(HOST, "myauth.conf", [KEEPABLE], consent.Variables({}, []), place)
    (said,) = [line for line in lines if "put these lines into" in line]
    assert f"put these lines into {place}, in the folder of your inventory" in said
    with (servers / place).open("a") as file:
        file.write("auth_worker_concurrency: 8\n")
    assert read_by_ansible(servers.parent, str(servers), ["auth_worker_concurrency"]) == {"auth_worker_concurrency": 8}


def test_what_was_there_is_kept_and_not_read(servers: Path) -> None:
    folder = servers / "host_vars" / HOST
    put(folder, {"auth_worker_concurrency": 7, "auth_environment": {"A": adopt.Secret("x")}})
    put(folder, {"auth_worker_concurrency": 8, "auth_environment": {"A": adopt.Secret("y")}})
    kept = [path.name for path in folder.iterdir() if path.name.startswith(".auth.yml.")]
    assert len(kept) == 1
    assert "auth_worker_concurrency: 7" in (folder / kept[0]).read_text()
    assert read_by_ansible(servers.parent, str(servers), ["auth_environment"]) == {"auth_environment": {"A": "y"}}


def test_another_file_that_would_have_the_last_word_is_named(tmp_path: Path) -> None:
    put(tmp_path, {"auth_worker_concurrency": 8, "auth_environment": {"A": adopt.Secret("x")}})
    (tmp_path / "a.yml").write_text("auth_worker_concurrency: 1\n")
    (tmp_path / "main.yml").write_text("auth_worker_concurrency: 1\nother: 2\n")
    (tmp_path / "old.yml~").write_text("auth_worker_concurrency: 1\n")
    assert adopt_files.read_later(str(tmp_path), ["auth_worker_concurrency"]) == {
        str(tmp_path / "main.yml"): ["auth_worker_concurrency"]
    }


class Tagged(str):
    """Text with something attached to it, as ansible-core hands values on."""

    __slots__ = ()


def test_values_that_ansible_hands_on_can_be_written() -> None:
    text, _secrets, _count = adopt.texts({"auth_memmon_event": Tagged("TICK_60")}, (), "2026-11-29")
    assert "\nauth_memmon_event: TICK_60\n" in text


@pytest.mark.parametrize(
    ("why", "said"),
    [
        (ValueError("hunter2 is not in list"), "auth1: ValueError while the variables were read or written"),
        (AnsibleError("hunter2 is no template"), "auth1: AnsibleError while the variables were read or written"),
        (PermissionError(13, "Permission denied", "/inventory/host_vars"), "Permission denied: /inventory/host_vars."),
    ],
)
def test_what_nobody_expected_is_told_without_secrets(
    monkeypatch: pytest.MonkeyPatch, why: Exception, said: str
) -> None:
    def fails(_self: Any) -> Any:
        raise why

    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
    monkeypatch.setattr(auth_adopt.ActionModule, "_adopt", fails)
    result = object.__new__(auth_adopt.ActionModule).run(None, {"inventory_hostname": "auth1"})
    assert said in result["problem"]
    assert "hunter2" not in str(result)
