# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's configuration in files, adopted and written again, and read by supervisor's own parser both times."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import description
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import adopt, variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import project, supervisor_parser
from ansible_collections.allianceauth.tuning.plugins.modules import auth_adopt_info

from tests.unit.plugins import looks, rendering

NAME = "auth1.conf"

# The daemon's environment is ours; of it, a file of these tests uses HOME.
DAEMON: dict[str, Any] = {"pid": os.getpid(), "processes": []}


@dataclass(frozen=True)
class Site:
    """A host's configuration of supervisor in a folder, beside that of a project."""

    folder: Path
    defaults: Mapping[str, Any]

    @property
    def main_conf(self) -> str:
        return str(self.folder / "supervisord.conf")

    @property
    def project(self) -> Path:
        return self.folder / "myauth"

    def put(self, **files: str) -> None:
        """Have these files in conf.d, and no others."""
        conf_d = self.folder / "conf.d"
        for made in (conf_d, self.project / "log", self.project / "myauth", self.folder / "logs"):
            made.mkdir(parents=True, exist_ok=True)
        (self.project / "manage.py").touch()
        for old in conf_d.glob("*"):
            old.unlink()
        for name, text in files.items():
            (conf_d / f"{name}.conf").write_text(text, newline="")
        Path(self.main_conf).write_text(
            f"[unix_http_server]\nfile = {self.folder}/s.sock\n[supervisord]\n[include]\nfiles = conf.d/*.conf\n"
        )

    def base(self) -> dict[str, Any]:
        """Return the role's variables of this host."""
        users = dict.fromkeys(("auth_user", "auth_memmon_user"), getpass.getuser())
        places = {"auth_project_dir": str(self.project), "auth_log_dir": f"{self.folder}/logs", "auth_venv": looks.VENV}
        return {**self.defaults, **users, **places}

    def info(self) -> dict[str, Any]:
        """Return what auth_info says of the host."""
        routed = project.routed_queues(str(self.project / "myauth/celery.py"))
        look = rendering.look(self.base())
        texts = [path.read_text() for path in (self.folder / "conf.d").iterdir()]
        # As the template in the venv.
        look["venv"]["template_environment"] = any("AA_COMMAND" in text for text in texts)
        return {
            **look,
            "user": {"uid": 0, "gid": 0, "group": "root"},
            "project_exists": True,
            "routed_queues": routed,
        }

    def render(self, given: Mapping[str, Any]) -> str:
        """Return the file that the role writes for some variables."""
        values = {**self.base(), **given}
        declared, refusals = self.declare(given)
        assert refusals == []
        return rendering.complete(rendering.render(declared, self.info()), values, declared)

    def declare(self, given: Mapping[str, Any]) -> tuple[Declared, list[str]]:
        return variables.declare({**self.base(), **given}, "auth1", self.info()["routed_queues"])

    def adopted(self) -> adopt.Adopted:
        """Return what adopt makes of the files."""
        _project, configuration, programs = auth_adopt_info.read(self.main_conf, DAEMON, "")

        def compare(given: Mapping[str, Any]) -> dict[str, Any]:
            return auth_adopt_info.compared(configuration, programs, self.render(given), DAEMON["pid"])

        return adopt.adopt({}, {}, compare, lambda given: self.declare(given)[1])

    def written(self, adopted: adopt.Adopted) -> dict[str, Any]:
        """Return the variables as Ansible reads them from both files."""
        text, secrets, _count = adopt.texts(adopted.variables, (), "2026-11-29")
        known = yaml.load(secrets, Loader=_Loader) or {}

        def expand(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {key: expand(one) for key, one in value.items()}
            if isinstance(value, list):
                return [expand(one) for one in value]
            if isinstance(value, _Unsafe):
                return str(value)
            name = value.removeprefix("{{ ").removesuffix(" }}") if isinstance(value, str) else value
            if not isinstance(value, str) or name == value:
                return value
            secret = known[name]
            return {key: str(one) for key, one in secret.items()} if isinstance(secret, dict) else str(secret)

        return dict(expand(yaml.load(text, Loader=_Loader)))

    def expanded(self) -> dict[str, dict[str, Any]]:
        """Return all that supervisor's parser says of each process, by its name."""

        def found() -> dict[str, Any]:
            options, _included = supervisor_parser._parse(self.main_conf, None)
            return {
                process.name: _with_one_log(
                    {
                        "group": group.name,
                        **{
                            name: _plain(getattr(process, name))
                            for name in (*process.req_param_names, *process.optional_param_names)
                            if name not in ("name", "exitcodes")
                        },
                    }
                )
                for group in options.process_group_configs
                for process in group.process_configs
            }

        return supervisor_parser._outcome(found)


def _with_one_log(process: dict[str, Any]) -> dict[str, Any]:
    """Return a process with only the log of its stdout, if stderr goes there too: as a second file or redirected."""
    if not process["redirect_stderr"] and process["stderr_logfile"] != process["stdout_logfile"]:
        return process
    return {name: value for name, value in process.items() if "stderr" not in name}


class _Unsafe(str):
    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """Reads what Ansible's own loader does."""


_Loader.add_constructor("!unsafe", lambda _loader, node: _Unsafe(node.value))


def _plain(value: Any) -> Any:
    """Return a value as JSON can have it; supervisor has classes for `auto` and the like."""
    return value if value is None or isinstance(value, (str, int, dict, list)) else str(value)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the program and the item of each difference between what the parser said of two configurations.

    An argument of a command is an item of its own. Processes are numbered by the role, if they were not yet.
    """
    found = set()
    then: dict[str, list[Any]] = {_program(name): [] for name in after}
    for name in sorted(after):
        then[_program(name)].append(after[name])
    now: dict[str, list[Any]] = {_program(name): [] for name in before}
    for name in sorted(before):
        now[_program(name)].append(before[name])
    for program in {*now, *then}:
        old, new = now.get(program, []), then.get(program, [])
        if len(old) != len(new):
            found.add((program, ""))
        for one, other in zip(old, new, strict=False):
            found |= {(program, item) for item in one if item != "command" and one[item] != other.get(item)}
            found |= {(program, item) for item in _arguments(program, one) ^ _arguments(program, other)}
    names = {_program(name) for name in before} & {_program(name) for name in after}
    renamed = {_program(name) for name in {*before} - {*after}} & names
    return {(program, item.partition("=")[0]) for program, item in found} | {(one, "name") for one in renamed}


def _arguments(program: str, process: Mapping[str, Any]) -> set[str]:
    text = f"[program:{program}]\ncommand = {' '.join(process['command'].split()).replace('%', '%%')}\n"
    section = description.describe(text).programs[program]
    if section.kind == "extra":
        return {" ".join(section.words)}
    return {f"{one.name}={one.value}" for one in section.arguments}


def _program(process: str) -> str:
    return process.rstrip("0123456789").removesuffix("_") if process[-3:-2] == "_" else process
