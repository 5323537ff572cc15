# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a project what only it knows: its queues, workers, broker, database and waiting tasks.

    python -B -c SOURCE PROJECT [SECONDS]

Run in the project's folder by the project's user with the venv's Python; it reads only. The length of the queues is
taken twice, SECONDS apart. Without them only ``default_queue``, ``routed``, ``eta_limit`` and ``countdown`` are asked,
of a project that is loaded as gunicorn loads it. What cannot be asked is null. The answer is one line of JSON:

``broker``: its ``address`` without a password, ``identity``, the same for all that use this one, or the
``problem`` why it does not answer, and then nothing of queues, nodes and Redis;
``queues``: for each queue its length ``before`` and ``after``, and what routes there (``tasks``);
``default_queue``; ``routed``: the queues that tasks are sent to; ``nodes``: for each Celery node its ``queues``,
``pool``, ``active``, ``reserved`` and ``scheduled``; ``eta_limit``: tasks with a countdown that a worker process holds
at most;
``countdown``: what a model update queues (``tasks``) within how many ``seconds``;
``redis`` and ``database``: settings and counters, by their own names.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time
from typing import Any, Callable, Iterable

# A broker on the other side of a busy machine has that long to bring the nodes' answers.
_PING_SECONDS = 2.0
_ANSWER_SECONDS = 10.0

# How many names of tasks are told for a queue.
_EXAMPLES = 3


def load(project: str) -> Any:
    """Load the project's Celery application with all tasks, without its logging, which would open and rotate files."""
    importlib.import_module(project + ".celery")
    import django
    from celery.app.utils import find_app
    from django.conf import settings

    settings.LOGGING_CONFIG = None
    django.setup()
    app = find_app(project)
    app.loader.import_default_modules()
    return app


def routes(app: Any) -> dict[str, list[str]]:
    """Return the tasks that the project and its apps send to each queue."""
    found: dict[str, list[str]] = {}
    for name, task in sorted(app.tasks.items()):
        if not name.startswith("celery."):
            queue = getattr(task, "queue", None) or app.amqp.router.route({}, name)["queue"]
            found.setdefault(getattr(queue, "name", queue), []).append(name)
    entries = (app.conf.beat_schedule or {}).values()
    scheduled = [((entry.get("options") or {}).get("queue"), entry["task"]) for entry in entries]
    for queue, task in [*scheduled, *(attempt(periodic) or [])]:
        if queue:
            found.setdefault(queue, []).append(task)
    return found


def periodic() -> list[tuple[str, str]]:
    """Return the queue, if it has one of its own, and the name of each task that beat queues by the database."""
    models = importlib.import_module("django_celery_beat.models")
    return list(models.PeriodicTask.objects.filter(enabled=True).values_list("queue", "task"))


def in_settings(task_routes: Any) -> set[str]:
    """Return the queues that a setting task_routes names, also for tasks of apps that are not installed.

    Source: Celery's documentation of the setting, which may be a mapping, a list of them or of pairs, or functions.
    """
    if isinstance(task_routes, dict):
        named = [route.get("queue") if isinstance(route, dict) else route for route in task_routes.values()]
        return {str(getattr(queue, "name", queue)) for queue in named if queue}
    if isinstance(task_routes, (list, tuple)):
        return set().union(*map(in_settings, task_routes))
    return set()


def routed(app: Any, destinations: Iterable[str]) -> list[str]:
    """Return the queues that tasks are sent to (``destinations``), or would be."""
    return sorted({*destinations, *in_settings(app.conf.task_routes)})


def load_and_route(app: Any) -> list[str]:
    """Return the same of an application that is loaded as gunicorn loads it, without all tasks."""
    app.loader.import_default_modules()
    return routed(app, routes(app))


def lengths(connection: Any, queues: list[str]) -> dict[str, int]:
    """Return how many tasks wait in each queue; one that the broker does not have is empty."""
    found = {}
    for queue in queues:
        try:
            found[queue] = connection.default_channel.queue_declare(queue, passive=True).message_count
        except connection.channel_errors:
            found[queue] = 0
    return found


def answered(said: Any) -> dict[str, Any]:
    """Return the answers of those nodes that could do what they were asked for."""
    # Source: kombu/pidbox.py, Node.dispatch
    return {node: one for node, one in (said or {}).items() if not (isinstance(one, dict) and "error" in one)}


def nodes(app: Any) -> dict[str, dict[str, Any]]:
    """Return what each Celery node that answers says of itself, on whatever host it is."""
    names = sorted(name for answer in app.control.ping(timeout=_PING_SECONDS) for name in answer)
    if not names:
        return {}
    asked = app.control.inspect(destination=names, timeout=_ANSWER_SECONDS, limit=len(names))
    stats, queues = answered(asked.stats()), answered(asked.active_queues())
    counts = {what: answered(getattr(asked, what)()) for what in ("active", "reserved", "scheduled")}
    return {
        name: {
            "queues": [queue["name"] for queue in queues.get(name, [])],
            "pool": {
                key: stats.get(name, {}).get("pool", {}).get(key) for key in ("max-concurrency", "implementation")
            },
            **{what: len(answer.get(name, [])) for what, answer in counts.items()},
        }
        for name in names
    }


def countdown() -> dict[str, int]:
    """Return how many tasks with a countdown one model update queues. Source: allianceauth/eveonline/tasks.py."""
    models = importlib.import_module("allianceauth.eveonline.models")
    tasks = importlib.import_module("allianceauth.eveonline.tasks")
    characters = models.EveCharacter.objects.exclude_biomassed().count()
    return {
        "tasks": models.EveCorporationInfo.objects.exclude_closed().count()
        + models.EveAllianceInfo.objects.count()
        + -(-characters // tasks.CHARACTER_AFFILIATION_CHUNK_SIZE),
        "seconds": tasks.EVEONLINE_TASK_JITTER,
    }


def redis(connection: Any) -> dict[str, Any] | None:
    """Return what decides whether Redis keeps what is queued, None for another broker or without the right to ask."""
    if connection.transport.driver_type != "redis":
        return None
    client = connection.default_channel.client
    wanted = ("maxmemory", "maxmemory-policy", "save", "appendonly")
    settings = {name: str(client.config_get(name).get(name, "")) for name in wanted}
    return {**settings, "used_memory": client.info("memory").get("used_memory")}


def identity(connection: Any) -> str | None:
    """Return what is the same for all that use this broker, by whatever address. Redis has a number for each run."""
    if connection.transport.driver_type != "redis":
        return None
    return f"{connection.default_channel.client.info('server')['run_id']}/{connection.virtual_host}"


def database() -> dict[str, Any] | None:
    """Return MariaDB's or MySQL's limit of connections, those that there are and the most that there were.

    None for another database.
    """
    from django.db import connection

    if connection.vendor != "mysql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL VARIABLES LIKE 'max_connections'")
        (_name, limit) = cursor.fetchone()
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Max_used_connections'")
        (_name, most) = cursor.fetchone()
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
        (_name, now) = cursor.fetchone()
    return {"max_connections": int(limit), "max_used_connections": int(most), "threads_connected": int(now)}


def attempt(question: Callable[..., Any], *arguments: Any) -> Any:
    """Return the answer to a question, None if it cannot be had: an older version, a right that is missing."""
    with contextlib.suppress(Exception):
        return question(*arguments)
    return None


def answers(project: str, seconds: float) -> dict[str, Any]:
    """Return all answers. Raises whatever loading the project raises."""
    try:
        app = load(project)
    except Exception as why:
        # Alliance Auth looks into its cache meanwhile: the project is all right, and Redis is not.
        if type(why).__module__.partition(".")[0] == "redis":
            return {"broker": {"address": "Redis", "problem": " ".join(str(why).split())}}
        raise
    destinations = routes(app)
    with app.connection_for_read(connect_timeout=_ANSWER_SECONDS) as connection:
        broker = {
            "address": f"{connection.transport_cls}://{connection.hostname}:{connection.port}/{connection.virtual_host}"
        }
        found = {
            "broker": broker,
            "default_queue": app.conf.task_default_queue,
            "routed": routed(app, destinations),
            "eta_limit": getattr(app.conf, "worker_eta_task_limit", None),
            "countdown": attempt(countdown),
            "database": attempt(database),
        }
        try:
            connection.ensure_connection(max_retries=1, timeout=_ANSWER_SECONDS)
        except Exception as why:  # noqa: BLE001 - each kind of broker has its own
            broker["problem"] = " ".join(str(why).split())
            return found
        broker["identity"] = attempt(identity, connection)
        consumers = attempt(nodes, app)
        consumed = {queue for node in (consumers or {}).values() for queue in node["queues"]}
        names = sorted({app.conf.task_default_queue, *destinations, *consumed})
        before, began = lengths(connection, names), time.monotonic()
        asked = attempt(redis, connection)
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))
        after = lengths(connection, names)
        queues = {
            name: {"before": before[name], "after": after[name], "tasks": destinations.get(name, [])[:_EXAMPLES]}
            for name in names
        }
        return {**found, "queues": queues, "nodes": consumers, "redis": asked}


def address(connection: Any) -> str:
    """Return where Redis is, HOST:PORT or the path of a socket, "" for another broker and for one behind TLS."""
    if connection.transport.driver_type != "redis" or connection.ssl:
        return ""
    given = connection.default_channel.client.connection_pool.connection_kwargs
    return str(given.get("path") or f"{given['host']}:{given['port']}")


def which_broker(app: Any) -> dict[str, Any]:
    """Return the broker's `identity` and `address`. Raises whatever comes where there is no way to it."""
    with app.connection_for_read(connect_timeout=_ANSWER_SECONDS) as connection:
        connection.ensure_connection(max_retries=1, timeout=_ANSWER_SECONDS)
        return {"identity": identity(connection) or "", "address": attempt(address, connection) or ""}


def waiting(project: str) -> dict[str, Any]:
    """Load the project as gunicorn does, and return what it takes to count places for tasks with a countdown.

    With the queues that are ``routed``, and the ``broker``'s identity and address, None if they cannot be had.

    Raises whatever loading the project raises; what cannot be asked is left out.
    """
    importlib.import_module(project + ".wsgi")

    def ask() -> dict[str, Any]:
        from celery.app.utils import find_app

        app = find_app(project)
        return {
            "default_queue": app.conf.task_default_queue,
            "routed": attempt(load_and_route, app),
            "eta_limit": getattr(app.conf, "worker_eta_task_limit", None),
            "countdown": attempt(countdown),
            "broker": attempt(which_broker, app),
        }

    return attempt(ask) or {}


def main() -> None:
    """Print the answers, or the sentence that says why there are none; what apps print while loading goes elsewhere."""
    with contextlib.redirect_stdout(sys.stderr):
        found = answers(sys.argv[1], float(sys.argv[2])) if sys.argv[2:] else waiting(sys.argv[1])
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
