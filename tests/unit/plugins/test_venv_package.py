# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pip gets its credentials, and nobody else sees them."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import pip_arguments
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import pip, proc

CHECKOUT = Path(__file__).parents[3]
SECRET = "https://name:s3cret@mirror.example/simple"
QUERY = "https://mirror.example/simple?private_token=s3cret"


@pytest.mark.parametrize(
    ("arguments", "seen", "hidden"),
    [
        (["--index-url", SECRET], [], {"PIP_INDEX_URL": SECRET}),
        ([f"--index-url={SECRET}", "--pre"], ["--pre"], {"PIP_INDEX_URL": SECRET}),
        (["-i", SECRET, "-f", f"{SECRET}/1", "-f", f"{SECRET}/2"], [], None),
        (["--proxy", "http://name:s3cret@proxy:3128"], [], {"PIP_PROXY": "http://name:s3cret@proxy:3128"}),
        (["--no-index", "--find-links", "/srv/my wheels"], ["--no-index", "--find-links", "/srv/my wheels"], {}),
        (["--index-url=https://mirror.example/simple", "-q"], ["--index-url=https://mirror.example/simple", "-q"], {}),
        # As pip lets them be spelt.
        ([f"-i{SECRET}"], [], {"PIP_INDEX_URL": SECRET}),
        ([f"-qUi{SECRET}", "--pre"], ["-qU", "--pre"], {"PIP_INDEX_URL": SECRET}),
        (["-qf", SECRET], ["-q"], {"PIP_FIND_LINKS": SECRET}),
        (["-qf", "/srv/wheels"], ["-qf", "/srv/wheels"], {}),
        (["--extra-index", SECRET], [], {"PIP_EXTRA_INDEX_URL": SECRET}),
        ([f"--ind={SECRET}"], [], {"PIP_INDEX_URL": SECRET}),
        ([f"--pypi-url={SECRET}"], [], {"PIP_INDEX_URL": SECRET}),
        (["--proxy=name:s3cret@proxy:3128"], [], {"PIP_PROXY": "name:s3cret@proxy:3128"}),
        (["-i", f"{SECRET}/1", "-i", f"{SECRET}/2"], [], {"PIP_INDEX_URL": f"{SECRET}/2"}),
        (["-i", QUERY], [], {"PIP_INDEX_URL": QUERY}),
        (["-i"], ["-i"], {}),
        # The name of an account for everybody.
        (["git+ssh://git@git.example/app"], ["git+ssh://git@git.example/app"], {}),
        (["https://wheels.example/a.whl?raw=1#sha256=0a"], ["https://wheels.example/a.whl?raw=1#sha256=0a"], {}),
    ],
)
def test_what_may_be_a_secret_is_no_argument(
    arguments: list[str], seen: list[str], hidden: dict[str, str] | None
) -> None:
    if hidden is None:
        hidden = {"PIP_INDEX_URL": SECRET, "PIP_FIND_LINKS": f"{SECRET}/1 {SECRET}/2"}
    assert pip_arguments.apart(arguments) == (seen, hidden)


NOWHERE = [
    ["git+https://s3cret@git.example/app"],
    ["-e", "git+https://s3cret@git.example/app"],
    ["-r", SECRET],
    [f"--requirement={SECRET}"],
    ["git+ssh://git:s3cret@git.example/app"],
    [QUERY],
    # pip itself does not know which of two is meant.
    [f"--p={SECRET}"],
]


@pytest.mark.parametrize("arguments", NOWHERE)
def test_credentials_that_pip_takes_as_an_argument_only_are_refused(
    defaults: dict[str, Any], install: Any, arguments: list[str]
) -> None:
    _declared, refusals = variables.declare({**defaults, "auth_pip_extra_args": ["--pre", *arguments]}, "auth1")
    (refusal,) = refusals
    assert refusal.startswith("auth1: auth_pip_extra_args is not as it has to be: one argument has credentials in it")
    # The module, used without the role.
    said = install("touch asked", arguments=arguments)
    assert said.startswith("it was not asked, for one argument has credentials in it")
    assert "s3cret" not in refusal + said


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., str]:
    """Install with a script in the place of the venv's Python."""

    def installed(script: str, timeout: int = 60, **told: Any) -> str:
        python = tmp_path / "bin/python"
        python.parent.mkdir()
        python.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
        python.chmod(0o755)
        me = pwd.getpwuid(os.getuid()).pw_name
        given = {"venv": str(tmp_path), "user": me, "name": "superlance", "version": "2.0.0", "timeout": timeout}
        return pip.install({**given, "pip": json.dumps(told)})

    return installed


def test_pip_is_told_in_its_environment(install: Any, tmp_path: Path) -> None:
    script = "tr '\\0' ' ' < /proc/$$/cmdline > arguments; env > environment"
    assert install(script, arguments=["--index-url", SECRET, "--pre"], environment={"PIP_CERT": "/my/ca"}) == ""
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.endswith(
        "-m pip install --no-input --no-cache-dir --disable-pip-version-check superlance==2.0.0 --pre "
    )
    assert "s3cret" not in arguments
    assert {f"PIP_INDEX_URL={SECRET}", "PIP_CERT=/my/ca"} <= set((tmp_path / "environment").read_text().splitlines())


def test_a_venv_without_pip_is_told_with_the_commands_that_help(install: Any, tmp_path: Path) -> None:
    python, me = f"{tmp_path}/bin/python", pwd.getpwuid(os.getuid()).pw_name
    with pytest.raises(pip.NoPipError) as told:
        install(f"echo '{python}: No module named pip' >&2; exit 1")
    assert str(told.value) == (
        f"{tmp_path} has no pip, which this needs; what brings it is sudo -Hu {me} {python} -m ensurepip; "
        f"or, if uv has made it, sudo -Hu {me} uv pip install --python {python} superlance==2.0.0"
    )


@pytest.mark.parametrize(
    ("failed", "told", "not_told"),
    [
        ({"msg": "ERROR: no index"}, "auth1: pip could not install superlance 2.0.0", "could not be installed"),
        ({"msg": "it has no pip.", "has_pip": False}, "the server runs on as before: it has no pip.", "mirror"),
        ({"msg": "auth1: the guard was here", "guard_acted": True}, "auth1: the guard was here", "superlance"),
    ],
)
def test_the_role_speaks_of_mirrors_only_to_whom_has_a_pip(failed: dict[str, Any], told: str, not_told: str) -> None:
    (install,) = yaml.safe_load((CHECKOUT / "roles/auth/tasks/steps/install.yml").read_text())
    sentence = install["rescue"][0]["ansible.builtin.fail"]["msg"]
    given = {"inventory_hostname": "auth1", "auth_superlance_version": "2.0.0", "auth_venv": "/venv"}
    said = jinja2.Environment().from_string(sentence).render(**given, ansible_failed_result=failed)
    assert told in said
    assert not_told not in said


def test_another_module_that_pip_lacks_is_no_missing_pip(install: Any) -> None:
    script = "echo \"ModuleNotFoundError: No module named 'pip._vendor'\" >&2; exit 1"
    assert install(script) == "ModuleNotFoundError: No module named 'pip._vendor'"


def test_what_pip_says_of_a_failure_has_no_secret_in_it(install: Any) -> None:
    script = f"echo Looking; echo 'ERROR: no {SECRET} with t0ken, 2.0.0' >&2; echo bye; exit 1"
    environment = {"MIRROR_TOKEN": "t0ken", "PIP_RETRIES": "0"}
    said = install(script, environment=environment)
    assert said == "ERROR: no https://(not shown)@mirror.example/simple with (not shown), 2.0.0"
    said = pip.errors(f"ERROR: no {QUERY}", set())
    assert said == "ERROR: no https://mirror.example/simple?private_token=(not shown)"


def test_a_pip_that_never_ends_is_given_up_with_what_it_has_started(
    install: Any, tmp_path: Path, wait: Callable[[Callable[[], object]], None]
) -> None:
    assert install("sleep 1000 & echo $! > child; sleep 1000", timeout=3) == "it took longer than 3 s"
    wait(lambda: proc.start_ticks(int((tmp_path / "child").read_text())) is None)


def test_a_venv_without_python_is_told(tmp_path: Path) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    given = {"venv": str(tmp_path), "user": me, "name": "x", "version": "1", "pip": "{}", "timeout": 1}
    assert pip.install(given) == f"{tmp_path}/bin/python cannot be run: No such file or directory"
