# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a supervisor configuration with supervisor's own parser, as it is or as it would be.

Needs the ``supervisor`` package; see `supervisord.find_supervisor`.
"""

from __future__ import annotations

import configparser
import contextlib
import fnmatch
import importlib
import io
import os
import re
import signal
import sys
import types
from dataclasses import dataclass
from typing import Any, Callable, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import make_namespec
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import privileges, proc

# Source: supervisor/datatypes.py (dict_of_key_value_pairs), supervisor/options.py (expand), configparser.ParsingError
_QUOTED_VALUES = (
    re.compile(r"(key/value pairs in value ).*(?= in section )", re.DOTALL),
    re.compile(r"(Format string )(?:'.*'|\".*\")(?= for '(?:[^']*\.)?environment')", re.DOTALL),
    re.compile(r"(\[line +\d+\]: ).*", re.DOTALL),
)


class InvalidError(Exception):
    """supervisor refuses the configuration; the text is its own sentence."""


@dataclass(frozen=True)
class Overlay:
    """Files as they would be: each path in ``files`` is read as ``content``.

    Two paths stand for one file where a link leads to it. ``folder`` is there as well.
    """

    files: frozenset[str]
    content: str
    folder: str = ""

    def covers(self, path: str) -> bool:
        return path in self.files


def effective(main_conf: str, overlay: Overlay | None = None) -> dict[str, Any]:
    """Return what the daemon would make of ``main_conf`` and all that it includes.

    ``groups``: a list of ``{name, listener, processes}``, each process with the
    names of supervisor's own ``ProcessConfig`` (``stopwaitsecs`` in seconds) and
    its ``user``'s number as ``uid`` (None: the daemon's). ``sockets``: paths of
    the control sockets with ``mode``, ``uid`` and ``gid``. ``ports``: the TCP ports with their
    ``address`` and whether they ask for a ``password``. ``logfile``: the daemon's own. ``childlogdir``:
    the folder of logs that nobody has named, without which it does not start. ``sections``: the names of the
    sections of each included file. No ``environment``: it may hold secrets.

    Raises `InvalidError`. Source: ``supervisor.options.ServerOptions.realize``, which
    ends its process on an error, so it gets one of its own.
    """
    return _outcome(lambda: _realize(main_conf, overlay))


def environment(main_conf: str, command: str, overlay: Overlay | None = None) -> dict[str, str]:
    """Return what the first program that runs ``command`` (a path) has in its environment; it may hold secrets.

    What the daemon itself has is not among it. Raises `InvalidError`.
    """

    def found() -> dict[str, Any]:
        options, _included = _parse(main_conf, overlay)
        return next(
            (
                dict(process.environment)
                for group in options.process_group_configs
                for process in group.process_configs
                if process.command.split()[:1] == [command]
            ),
            {},
        )

    return _outcome(found)


def programs(main_conf: str, namespecs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return those of the named processes that the configuration has, each as in `effective`.

    Each has its ``environment`` and its ``umask`` (a number) besides, with what the section [supervisord] gives to all
    programs where it has none of its own. It may hold secrets, so it stays in this
    process. Raises `InvalidError`.
    """

    def found() -> dict[str, Any]:
        options, _included = _parse(main_conf, None)
        return {
            make_namespec(group.name, process.name): {
                **_process(process),
                "environment": dict(process.environment),
                "umask": options.umask if process.umask is None else process.umask,
            }
            for group in options.process_group_configs
            for process in group.process_configs
            if make_namespec(group.name, process.name) in namespecs
        }

    return _outcome(found)


def worker_logs(main_conf: str, project: str) -> list[str]:
    """Return the logs of a project's Celery workers, none if the configuration is invalid."""
    try:
        groups = effective(main_conf)["groups"]
    except InvalidError:
        return []
    workers = [
        process
        for group in groups
        for process in group["processes"]
        if group["name"] == project and proc.kind(split_command(process["command"])) == "worker"
    ]
    return sorted({process[log] for process in workers for log in ("stdout_logfile", "stderr_logfile") if process[log]})


def client(main_conf: str) -> dict[str, Any]:
    """Return ``serverurl``, ``username`` and ``password`` as ``supervisorctl`` reads them.

    It reads the main file alone, so this works while an included file is broken.
    """
    return _plain_client(main_conf) or _outcome(lambda: _realize_client(main_conf))


def _plain_client(main_conf: str) -> dict[str, Any]:
    """Return the same without supervisor's parser, whose import takes longer than a call; nothing if it is needed."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    try:
        parser.read_string(privileges.read(main_conf))
        found = dict(parser["supervisorctl"])
    except (OSError, KeyError, configparser.Error):
        return {}
    url = found.get("serverurl", "")
    # It knows what %(here)s is, and what a path may begin with.
    if any("%" in value for value in found.values()) or not url.startswith(("unix:///", "http://")):
        return {}
    scheme, _slashes, path = url.partition("unix://")
    return {
        "serverurl": url if scheme else f"unix://{os.path.normpath(path)}",
        "username": found.get("username"),
        "password": found.get("password"),
    }


def _outcome(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    # Its import takes longer than a parse: those that come after inherit it. What is wrong with it, the child says.
    with contextlib.suppress(ImportError):
        importlib.import_module("supervisor.options")
    try:
        answer = privileges.in_child(lambda: _answer(work))
    except TimeoutError as why:
        raise InvalidError("supervisor's parser did not come to an end: is one of the files a pipe?") from why
    if "error" in answer:
        raise InvalidError(answer["error"])
    return dict(answer["result"])


def _answer(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return {"result": work()}
    except SystemExit:
        # usage() prints "Error: SENTENCE" and "For help, use … -h"; Python may have warned before it.
        sentence = said.getvalue().rpartition("Error: ")[2].partition("\nFor help")[0]
        return {"error": _without_values(" ".join(sentence.split()))}
    except Exception as why:  # noqa: BLE001 - whatever the parser meets in a file, the user is told of it
        return {"error": _without_values(f"{type(why).__name__}: {why}")}


def _without_values(sentence: str) -> str:
    """Return the parser's sentence without what stands in an environment, or in a line that it could not read."""
    for pattern in _QUOTED_VALUES:
        sentence = pattern.sub(r"\1(not shown)", sentence)
    return sentence


def _realize(main_conf: str, overlay: Overlay | None) -> dict[str, Any]:
    options, included = _parse(main_conf, overlay)
    return {
        "groups": [_group(config) for config in options.process_group_configs],
        "sockets": [
            {"file": config["file"], "mode": config["chmod"], "uid": config["chown"][0], "gid": config["chown"][1]}
            for config in options.server_configs
            if "file" in config
        ],
        "ports": [
            {"address": f"{config['host'] or '*'}:{config['port']}", "password": bool(config["password"])}
            for config in options.server_configs
            if "port" in config
        ],
        "logfile": options.logfile,
        "childlogdir": options.childlogdir,
        "sections": included,
    }


def _parse(main_conf: str, overlay: Overlay | None) -> tuple[Any, dict[str, list[str]]]:
    """Return supervisor's options, and the sections of each included file."""
    import supervisor.options

    included = _observe(supervisor.options, overlay)
    options = supervisor.options.ServerOptions()
    # Not the one that the class took when it was imported: nobody reads that.
    options.stderr = sys.stderr
    # Not options.configfile: -c would count as given twice.
    options.realize(["-c", main_conf], doc="", progname="supervisord")
    return options, included


def _observe(options: types.ModuleType, overlay: Overlay | None) -> dict[str, list[str]]:
    """Have ``supervisor.options`` read the overlay; return its included files' sections, as they are read.

    Changes supervisor's modules: for a process of one's own.
    """
    from supervisor import datatypes

    included: dict[str, list[str]] = {}
    existing_dirpath: Callable[[str], Any] = datatypes.existing_dirpath

    class Parser(options.UnhosedConfigParser):  # type: ignore[name-defined, misc]
        def read(self, filenames: Any, **kwargs: Any) -> Any:
            alone = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
            if overlay is None or not overlay.covers(filenames):
                alone.read(filenames, **kwargs)
                found = super().read(filenames, **kwargs)
            else:
                alone.read_string(overlay.content)
                before = set(self.sections())
                self.read_file(io.StringIO(overlay.content), filenames)
                self.section_to_file.update(dict.fromkeys(set(self.sections()) - before, filenames))
                found = [filenames]
            included[filenames] = alone.sections()
            return found

    def glob(pattern: str) -> list[str]:
        import glob as real

        found = real.glob(pattern)
        if overlay is not None:
            found += [path for path in overlay.files if path not in found and fnmatch.fnmatch(path, pattern)]
        return found

    def in_folder(path: str) -> str:
        if overlay is not None and os.path.dirname(path) == overlay.folder:
            return path
        return str(existing_dirpath(path))

    datatypes.existing_dirpath = in_folder
    options.UnhosedConfigParser = Parser  # type: ignore[attr-defined]
    options.glob = types.SimpleNamespace(glob=glob)  # type: ignore[attr-defined]
    return included


def _group(config: Any) -> dict[str, Any]:
    return {
        "name": config.name,
        "listener": hasattr(config, "pool_events"),
        "processes": [_process(process) for process in config.process_configs],
    }


def _process(config: Any) -> dict[str, Any]:
    logs = {key: getattr(config, key) for key in ("stdout_logfile", "stderr_logfile")}
    errors = "stdout" if config.redirect_stderr else "stderr"
    return {
        "name": config.name,
        "command": config.command,
        "directory": config.directory,
        "uid": config.uid,
        "startsecs": config.startsecs,
        "stopwaitsecs": config.stopwaitsecs,
        "stopsignal": signal.Signals(config.stopsignal).name[len("SIG") :],
        "redirect_stderr": bool(config.redirect_stderr),
        # The log that supervisorctl shows its errors of, one that supervisord names itself included; "" for none.
        "errors_in": errors if logs[f"{errors}_logfile"] is not None else "",
        "rotates": bool(config.stdout_logfile_maxbytes),
        "autostart": bool(config.autostart),
        # Whether it runs all the time: supervisord starts it by itself, and again when it ends.
        "always_runs": bool(config.autostart and config.autorestart),
        # Whether it is started again however it ends. Source: supervisor/datatypes.py, auto_restart
        "restarts": getattr(config.autorestart, "__name__", "") == "RestartUnconditionally",
        # Automatic and None are no paths.
        **{key: value if isinstance(value, str) else None for key, value in logs.items()},
    }


def _realize_client(main_conf: str) -> dict[str, Any]:
    import supervisor.options

    options = supervisor.options.ClientOptions()
    options.stderr = sys.stderr
    options.realize(["-c", main_conf, "status"], doc="", progname="supervisorctl")
    return {key: getattr(options, key) for key in ("serverurl", "username", "password")}


def secrets(main_conf: str, overlay: Overlay | None = None) -> list[str]:
    """Return the values in the programs' environments that may be secrets, none if the configuration is invalid."""

    def found() -> dict[str, Any]:
        options, _included = _parse(main_conf, overlay)
        processes = (process for group in options.process_group_configs for process in group.process_configs)
        return {
            "values": sorted(set().union(*(managed_file.secret_values(process.environment) for process in processes)))
        }

    try:
        return list(_outcome(found)["values"])
    except InvalidError:
        return []


def overlay_for(path: str, link: str, content: str, folder: str = "") -> Overlay:
    """Return the overlay of a file at ``path`` to which ``link`` leads ("" for no link)."""
    return Overlay(frozenset(filter(None, (path, link))), content, folder)
