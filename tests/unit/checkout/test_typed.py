# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people type in the checkout does what README says, with nothing set for it but the venv's PATH.

What needs a server is in Molecule's scenario `typed`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab.machine.paths import CHECKOUT

README = (CHECKOUT / "README.md").read_text()


def run(command: str, home: Path, folder: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell in which nobody has set anything; print and return what it says."""
    done = subprocess.run(
        ["bash", "-c", command],
        env={"PATH": f"{sys.prefix}/bin:{os.environ['PATH']}", "HOME": str(home)},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout)
    return done


def type_in(command: str, home: Path, folder: Path = CHECKOUT) -> str:
    """Run a command that succeeds; return what it says."""
    done = run(command, home, folder)
    assert done.returncode == 0, command
    return done.stdout


def refusal(command: str, home: Path) -> str:
    """Run a command that fails; return what it says in one line, for Ansible breaks lines at a terminal's width."""
    done = run(command, home)
    assert done.returncode != 0, command
    return " ".join(done.stdout.split())


def commands(start: str) -> list[str]:
    """Return README's commands that begin so, in their order."""
    found = re.findall(rf"(?m)^ +({start}.*)$", README)
    assert found
    return found


def publish(folder: Path) -> None:
    """Have the archive of a release, and a repository beside it that is there in place of the public one."""
    repository = folder.parent / "ansible-collection-tuning.git"
    shutil.copytree(folder, repository, symlinks=True, ignore=shutil.ignore_patterns(".cache"))
    git = ("git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "a")):
        subprocess.run([*git, *words], check=True)
    build = [f"{sys.prefix}/bin/ansible-galaxy", "collection", "build", "--output-path", str(folder), str(repository)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("linked", [False, True], ids=["a fresh clone", "after make venv"])
def test_readmes_way_to_a_first_run_is_open_in_the_checkout(linked: bool, tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "clone"
    home.mkdir()
    subprocess.run([CHECKOUT / "scripts/collection-copy", folder], check=True)
    if linked:
        subprocess.run([folder / "scripts/collection-link"], check=True, stdout=subprocess.DEVNULL)
    publish(folder)
    for command in commands("ansible-galaxy "):
        said = type_in(command.replace("git+https://github.com/allianceauth/", f"git+file://{tmp_path}/"), home, folder)
        assert "was installed successfully" in said
    assert (home / ".ansible/collections/ansible_collections/allianceauth/tuning/MANIFEST.json").is_file()
    # It has not gone through the link.
    assert (folder / "galaxy.yml").is_file()
    for command in (*commands("cp "), *commands("ansible-playbook ")):
        # Without the servers, as far as it goes.
        said = type_in(f"{command} --list-tasks" if command.startswith("ansible") else command, home, folder)
        assert "[WARNING]" not in said
        if command.startswith("ansible"):
            used = folder / ".cache/collections" if linked else home / ".ansible/collections"
            assert f"playbook: {used}/ansible_collections/allianceauth/tuning/playbooks/" in said


def test_the_documentation_is_the_checkouts(tmp_path: Path) -> None:
    (command,) = re.findall(r"`(ansible-doc [^`]*)`", README)
    said = type_in(command, tmp_path)
    assert str(CHECKOUT / ".cache/collections/ansible_collections/allianceauth/tuning") in said
    assert "auth_worker_concurrency" in said


def test_playbooks_are_found_by_their_path(tmp_path: Path) -> None:
    names = sorted(file.name for file in CHECKOUT.glob("playbooks/*.yml"))
    said = type_in("ansible-playbook -i inventory --syntax-check playbooks/*.yml", tmp_path)
    assert [Path(name).name for name in re.findall(r"(?m)^playbook: (.*)$", said)] == names


def test_every_playbook_but_adopt_chooses_its_hosts_as_apply_does() -> None:
    plays = {file.stem: yaml.safe_load(file.read_text()) for file in CHECKOUT.glob("playbooks/*.yml")}
    others = {play["hosts"] for name, found in plays.items() for play in found if name != "adopt"}
    assert others == {plays["apply"][0]["hosts"]}


@pytest.mark.parametrize("name", ["adopt", "apply"])
def test_a_misspelt_group_is_refused(name: str, tmp_path: Path) -> None:
    inventory = "auth_server: {hosts: {a: {ansible_connection: local}}}"
    (tmp_path / "hosts.yml").write_text(inventory)
    command = f"ansible-playbook -i {tmp_path}/hosts.yml playbooks/{name}.yml --list-hosts"
    said = refusal(command, tmp_path)
    assert "The inventory has no servers in a group auth_servers: name them there, or another one with -i." in said
    right = inventory.replace("auth_server:", "auth_servers:") + "\ndatabases: {hosts: {b: {}}}"
    (tmp_path / "hosts.yml").write_text(right)
    assert "hosts (1)" in type_in(command, tmp_path)
    assert "hosts (1)" in type_in(f"{command} --limit a", tmp_path)
    assert "hosts (1)" in type_in(f"{command} --limit 'all:!b'", tmp_path)
    # Ansible refuses by itself a name that nothing has.
    said = refusal(f"{command} --limit auth_server", tmp_path)
    assert "leaves us with no hosts to target" in said
    said = refusal(f"{command} --limit databases", tmp_path)
    assert "What --limit names does not have a server in the group auth_servers." in said


@pytest.mark.parametrize("name", ["adopt", "apply", "audit"])
def test_a_misspelt_inventory_is_refused(name: str, tmp_path: Path) -> None:
    said = refusal(f"ansible-playbook -i {tmp_path}/misspelt playbooks/{name}.yml", tmp_path)
    assert "No inventory was found, or there is no host in it: name yours with -i, such as -i my-servers." in said


@pytest.mark.parametrize("file", sorted(CHECKOUT.glob("playbooks/*.yml")), ids=lambda file: file.stem)
def test_every_playbook_says_that_it_needs_hosts(file: Path) -> None:
    (play,) = yaml.safe_load(file.read_text())
    assert play["vars"] == {"__auth_needs_hosts": True}


@pytest.mark.parametrize("file", sorted(CHECKOUT.glob("playbooks/*.yml")), ids=lambda file: file.stem)
def test_no_playbook_has_ansible_core_check_the_arguments(file: Path) -> None:
    # It would refuse what the role takes, as a word in capitals, before the role can say anything.
    (play,) = yaml.safe_load(file.read_text())
    roles = [task.get(f"ansible.builtin.{how}_role") for task in play["tasks"] for how in ("import", "include")]
    assert [role["rolespec_validate"] for role in roles if role] == [False]


@pytest.mark.parametrize("file", sorted(CHECKOUT.glob("molecule/*/molecule.yml")), ids=lambda file: file.parent.name)
def test_verify_without_a_folder_has_tests_in_every_scenario(file: Path) -> None:
    shared = yaml.safe_load((CHECKOUT / ".config/molecule/config.yml").read_text())["verifier"]
    verifier = {**shared, **yaml.safe_load(file.read_text()).get("verifier", {})}
    folder = file.parent / verifier["directory"]
    for pattern in ("test_*.py", *verifier.get("additional_files_or_dirs", [])):
        assert list(folder.glob(pattern)), f"{folder}/{pattern}"
