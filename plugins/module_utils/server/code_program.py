# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load a project as it is installed now, and say what would come into service with a restart.

    python -B -c SOURCE PROJECT [NODE]... -- [STAYING]...

Run in the project's folder by the project's user with the venv's Python; it reads only, and raises whatever loading the
project raises. NODE are the Celery nodes of the workers that are to be restarted, STAYING those of workers that run on.
The answer is one line of JSON:

``errors``: what Django's check says that is an error; ``migrations``: those that are not applied;
``unmet``: sentences on requirements of packages that are not met;
``unasked``: what of these two could not be asked for, and why;
``lost``: tasks that the nodes know and the installed code does not, each with its ``task``, where it waits (``where``)
and how many there are (``count``); ``gone``: the names of all such tasks; ``unseen``: the same if the broker's queues
cannot be looked into; ``new``: tasks that the installed code knows and one of STAYING does not; ``silent``: which of
STAYING did not say what they know, "" if all did;
``apart``: why workers with the installed code and those that run must not take tasks from one queue, "" if they may;
``queues``: those that an installed worker takes tasks from whose command names none; empty if a worker cannot begin
with another queue than the project knows; ``celery``: the first two numbers of the installed Celery's version;
``problem``: why nobody could be asked for tasks, "" if somebody was.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections import Counter
from importlib import metadata
from typing import Any, Callable, Iterator

# A broker on the other side of a busy machine has that long to bring the nodes' answers.
_ANSWER_SECONDS = 10.0

# Messages of a queue that are read at once.
_BLOCK = 1000


def load(project: str) -> Any:
    """Load the project as gunicorn's and Celery's workers load it; return its Celery application with all tasks.

    Without its logging, which would open and rotate files.
    """
    importlib.import_module(project + ".celery")
    from celery.app.utils import find_app
    from django.conf import settings

    settings.LOGGING_CONFIG = None
    importlib.import_module(project + ".wsgi")
    app = find_app(project)
    app.loader.import_default_modules()
    return app


def errors() -> list[str]:
    """Return the errors of Django's check, a line each."""
    from django.core import checks

    found = [said for said in checks.run_checks() if said.level >= checks.ERROR and not said.is_silenced()]
    return [f"{said.msg} ({said.id})" for said in found]


def migrations() -> list[str]:
    """Return what `manage.py migrate --check --skip-checks` would find: migrations that are not applied."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _backwards in plan]


def unmet() -> list[str]:
    """Return a sentence for each requirement of an installed package that is not met, as `pip check` does."""
    try:
        requirements: Any = importlib.import_module("packaging.requirements")
    except ImportError:
        return []
    installed: dict[str, Any] = {}
    distributions: Iterator[Any] = iter(metadata.distributions())
    for found in distributions:
        # What pip could not remove has no METADATA, and so neither name nor version.
        if found.version is None:
            continue
        installed.setdefault(_plain(found.metadata["Name"]), found)
    sentences = []
    for package in installed.values():
        for text in package.requires or []:
            try:
                wanted = requirements.Requirement(text)
            except requirements.InvalidRequirement:
                continue
            if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
                continue
            there = installed.get(_plain(wanted.name))
            if there is None or not wanted.specifier.contains(there.version, prereleases=True):
                version = f"{there.version} is installed" if there else "it is not installed"
                sentences.append(
                    f"{package.metadata['Name']} {package.version} needs {wanted.name}{wanted.specifier}, and {version}"
                )
    return sorted(sentences)


def answer_to(what: str, question: Callable[[], list[str]], unasked: list[str]) -> list[str]:
    """Return the answer to a question that keeps nothing from coming into service; ``unasked`` gets why it has none."""
    try:
        return question()
    except Exception as why:  # noqa: BLE001 - an app's check raises whatever it likes
        text = " ".join(str(why).split())
        unasked.append(f"{what} could not be asked ({type(why).__name__}{': ' if text else ''}{text})")
        return []


def _plain(name: str) -> str:
    return (name or "").lower().replace("_", "-").replace(".", "-")


def messages(channel: Any, queue: str) -> Iterator[str]:
    """Yield the names of the tasks that wait in a queue of Redis, in the lists of all its priorities."""
    for step in channel.priority_steps:
        # The client puts the prefix before the keys of those commands alone that kombu uses.
        key, begin = channel.global_keyprefix + channel._q_for_pri(queue, step), 0
        while block := channel.client.lrange(key, begin, begin + _BLOCK - 1):
            begin += len(block)
            for message in block:
                yield str(json.loads(message).get("headers", {}).get("task", ""))


def silent(registered: dict[str, set[str]], nodes: list[str]) -> str:
    """Return which nodes did not say which tasks they have, "" if all did."""
    names = [node for node in nodes if node not in registered]
    return f"{', '.join(names)} did not say which tasks {'it has' if len(names) == 1 else 'they have'}" if names else ""


def differences(registered: dict[str, set[str]], installed: set[str], nodes: list[str]) -> str:
    """Return why two kinds of workers must not share a queue, "" if they may: whoever lacks a task discards it."""
    if unknown := silent(registered, nodes):
        return unknown
    differ = sorted({name for names in registered.values() for name in names ^ installed})
    more = f" and {len(differ) - 1} more" if len(differ) > 1 else ""
    return f"{differ[0]}{more} is not both in the old code and in the new one" if differ else ""


def answered(said: Any) -> dict[str, Any]:
    """Return the answers of those nodes that could do what they were asked for."""
    # Source: kombu/pidbox.py, Node.dispatch
    return {node: one for node, one in (said or {}).items() if not (isinstance(one, dict) and "error" in one)}


def lost(app: Any, nodes: list[str], staying: list[str]) -> dict[str, Any]:
    """Return ``lost``, ``gone``, ``unseen``, ``new``, ``silent``, ``apart`` and ``problem``."""
    both = [*nodes, *staying]
    asked = app.control.inspect(destination=both, timeout=_ANSWER_SECONDS, limit=len(both))
    # NAME, or NAME [OPTION=VALUE]
    known = {node: {name.partition(" ")[0] for name in names} for node, names in answered(asked.registered()).items()}
    registered = {node: names for node, names in known.items() if node in nodes}
    installed = {name for name in app.tasks if not name.startswith("celery.")}
    gone = {name for names in registered.values() for name in names} - set(app.tasks)
    found: dict[str, Any] = {
        "lost": [],
        "gone": sorted(gone),
        "unseen": [],
        "new": sorted({name for node in staying for name in installed - known.get(node, installed)}),
        "silent": silent(known, staying),
        "apart": differences(registered, installed, nodes),
        # What those alone know that do not answer, nobody can look for.
        "problem": silent(known, nodes),
    }
    return {**found, **waiting(app, asked, nodes, gone)} if gone else found


def waiting(app: Any, asked: Any, nodes: list[str], gone: set[str]) -> dict[str, Any]:
    """Return ``lost`` and ``unseen`` of the tasks that are ``gone``; ``asked`` is the inspection of some nodes."""
    counted: Counter[tuple[str, str]] = Counter()
    # A worker gives these back to the queue when it stops.
    for what in ("scheduled", "reserved"):
        for node, tasks in answered(getattr(asked, what)()).items():
            for task in tasks if node in nodes else []:
                counted[str((task.get("request") or task).get("name")), f"held by {node}"] += 1
    queues = {queue["name"] for found in answered(asked.active_queues()).values() for queue in found}
    queues.add(app.conf.task_default_queue)
    unseen: list[str] = []
    with app.connection_for_read(connect_timeout=_ANSWER_SECONDS) as connection:
        if connection.transport.driver_type == "redis":
            for queue in sorted(queues):
                for name in messages(connection.default_channel, queue):
                    counted[name, f"in the queue {queue}"] += 1
        else:
            unseen = sorted(gone)
    found = [{"task": name, "where": where, "count": count} for (name, where), count in counted.items() if name in gone]
    found.sort(key=lambda one: (str(one["task"]), str(one["where"])))
    return {"lost": found, "unseen": unseen}


def answers(project: str, nodes: list[str], staying: list[str]) -> dict[str, Any]:
    """Return all answers. Raises whatever loading the project raises."""
    app = load(project)
    unasked: list[str] = []
    found: dict[str, Any] = {
        "errors": answer_to("Django's check", errors, unasked),
        "migrations": migrations(),
        "unmet": answer_to("the requirements of packages", unmet, unasked),
        "unasked": unasked,
    }
    found.update(lost=[], gone=[], unseen=[], new=[], silent="", apart="", queues=[], celery=[], problem="")
    if nodes or staying:
        found["celery"] = [int(part) for part in metadata.version("celery").split(".")[:2]]
        if app.conf.task_create_missing_queues:
            found["queues"] = sorted(app.amqp.queues.consume_from)
        try:
            found.update(lost(app, nodes, staying))
        except Exception as why:  # noqa: BLE001 - each kind of broker has its own
            found["problem"] = found["apart"] = " ".join(str(why).split())
    return found


def main() -> None:
    """Print the answers; what apps print while loading goes elsewhere."""
    with contextlib.redirect_stdout(sys.stderr):
        project, *names = sys.argv[1:]
        found = answers(project, names[: names.index("--")], names[names.index("--") + 1 :])
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
