# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have Celery workers take no more tasks, and take tasks again: what can be undone, as a warm shutdown cannot.

A worker that has only stopped consuming goes on with the tasks that it runs, and begins those on time that it holds
for their countdown. What it took tasks from stands with the guard of the run before it is told, so that whoever calls
the drain off, or finds it cut off, can give it back.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Callable, Iterable, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import is_orphan, short_name
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    celery_cli,
    code,
    consumers_program,
    guard,
    proc,
    serving,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.server.supervisord import Daemon

# A task that ends is seen so much later at most, and the nodes are asked so often.
_LOOK_SECONDS = 0.5

# Takes a queue that Celery has made out of the broker: with Redis only its entry among the bindings of its exchange,
# which the virtual transport does not know before it has made it itself. Source: kombu/transport/virtual/base.py
_DELETE_QUEUE = """
import sys
from celery.app.utils import find_app
from kombu import Exchange, Queue
with find_app(sys.argv[1]).connection_for_write() as connection:
    queue = Queue(sys.argv[2], Exchange(sys.argv[2]), sys.argv[2])(connection.default_channel)
    queue.declare()
    # With another broker than Redis another server's worker may wait there.
    queue.delete(if_unused=True)
    queue.exchange.delete(if_unused=True)
print("{}")
"""
_DELETE_SECONDS = 60

# Of Celery's states of a task: it is in the pool. Source: celery/worker/control.py, query_task
_IN_POOL = ("active", "reserved")

# Before it, a worker that got its queues back lost them for good when it connected to the broker anew: `add_consumer`
# did not put them among those that it takes from then. Source: celery/worker/consumer/consumer.py, add_task_queue
GIVES_BACK = (5, 7)

Remember = Callable[[Mapping[str, Any], Mapping[str, Mapping[str, Any]]], Mapping[str, Mapping[str, Any]]]


class Consumers:
    """The workers of one host; ``tasks`` is what they run, as `celery_cli.running_tasks` has it.

    ``application`` is called once there is something to ask.
    ``remember`` is told how Celery is reached and what each process takes tasks from, before anything is changed, and
    returns what is known of those it can have given back, nothing where nobody could.
    """

    def __init__(
        self, application: Callable[[], celery_cli.Application], daemon: Daemon, hostname: str, remember: Remember
    ) -> None:
        self.tasks: dict[str, list[dict[str, Any]]] = {}
        self._application = application
        self._loaded: celery_cli.Application | None = None
        self._daemon, self._hostname, self._remember = daemon, hostname, remember
        self._talk: consumers_program.Talk | None = None
        self._looked = 0.0
        self._finished: set[str] = set()

    def close(self) -> None:
        """End the process that talks to Celery."""
        if self._talk:
            self._talk.close()

    def _celery(self) -> celery_cli.Application:
        self._loaded = self._loaded or self._application()
        return self._loaded

    def _ask(self, command: str, nodes: Iterable[str], most: int = 0, **arguments: Any) -> dict[str, Any]:
        self._talk = self._talk or consumers_program.Talk(self._celery().talks())
        return self._talk(command, nodes, most, **arguments)

    def pause(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Have workers take no more tasks; return the ids of those that each has still to finish.

        Those are left as they are that do not answer; whose node's name does not name the host, for another server with
        the same broker may have a node of that name; and whose Celery could not have them take tasks again for good.
        """
        # Where only orphans are left, there may be no supervisord to ask.
        supervised = [name for name in names if not is_orphan(name)]
        try:
            return self._pause(supervised) if supervised else {}
        except consumers_program.NotAnswering:
            # The drain does not depend on it.
            return {}

    def _pause(self, names: Sequence[str]) -> dict[str, list[str]]:
        nodes = {name: self._node(name) for name in names}
        # Alliance Auth's own template has no host in a node's name.
        candidates = [*nodes.values(), *(f"celery@{short_name(name)}" for name in names)]
        active = self._ask("active", candidates, most=len(nodes), safe=True)
        self._take_in(active)
        queues = consumers_program.queue_names(
            self._ask("active_queues", [node for node in nodes.values() if node in active])
        )
        pids = {process.namespec: process.pid for process in self._daemon.processes()}
        found = {
            name: {
                "node": node,
                "queues": queues[node],
                "pid": pids[name],
                "start": proc.start_ticks(pids[name]),
            }
            for name, node in nodes.items()
            if node in queues and pids.get(name) and self._can_take_again(pids[name])
        }
        known = self._remember(self._talk.celery, found) if self._talk else {}
        consumers_program.tell(self._ask, "cancel_consumer", known)
        paused = consumers_program.await_queues(self._ask, known, takes=False)
        # Not before: until then each may have begun another one.
        active = self._ask("active", [nodes[name] for name in paused], safe=True)
        reserved = self._ask("reserved", [nodes[name] for name in paused])
        self._take_in(active)
        return {
            name: [task["id"] for said in (active, reserved) for task in said[nodes[name]]]
            for name in paused
            if nodes[name] in active and nodes[name] in reserved
        }

    def hand_over(self, waiting: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Have workers that were started on a queue of their own take tasks; return those that do not do so yet.

        ``waiting`` has the ``node`` and the ``queues`` of each.
        """
        try:
            taking = consumers_program.hand_over(self._ask, waiting)
        except consumers_program.NotAnswering:
            return dict(waiting)
        return {name: one for name, one in waiting.items() if name not in taking}

    def delete_queue(self, nodes: Iterable[str]) -> None:
        """Have workers that were handed the real queues leave their own one, and take it out of the broker.

        An empty queue that stays hurts nobody.
        """
        with contextlib.suppress(consumers_program.NotAnswering, celery_cli.CannotAskError):
            self._ask("cancel_consumer", nodes, queue=serving.PRIVATE_QUEUE)
            application = self._celery()
            application.ask(_DELETE_QUEUE, [application.project, serving.PRIVATE_QUEUE], _DELETE_SECONDS)

    def _can_take_again(self, pid: int) -> bool:
        """Whether a worker keeps the queues that it is given back, by the Celery that it has loaded."""
        began = proc.began(pid)
        version = code.loaded(self._celery().venv, "celery", began) if began is not None else None
        return version is not None and version >= GIVES_BACK

    def unfinished(self, waits: Mapping[str, Sequence[str]]) -> set[str]:
        """Return those workers that have not finished all of these tasks; one that does not answer has not."""
        self._finished |= {name for name, ids in waits.items() if not ids}
        left = {name: ids for name, ids in waits.items() if name not in self._finished}
        if left and time.monotonic() - self._looked >= _LOOK_SECONDS:
            with contextlib.suppress(consumers_program.NotAnswering):
                self._look(left)
            self._looked = time.monotonic()
        return set(left) - self._finished

    def _look(self, waits: Mapping[str, Sequence[str]]) -> None:
        nodes = {name: self._node(name) for name in waits}
        ids = sorted({task for waited in waits.values() for task in waited})
        found = self._ask("query_task", nodes.values(), ids=ids)
        finished = {
            name
            for name, node in nodes.items()
            if node in found and not any(state in _IN_POOL for state, _task in found[node].values())
        }
        # What they have begun since, which they held for its time.
        self._take_in(self._ask("active", [nodes[name] for name in finished], safe=True))
        self._finished |= finished

    def _node(self, name: str) -> str:
        return f"{short_name(name)}@{self._hostname}"

    def _take_in(self, active: Mapping[str, Any]) -> None:
        self.tasks.update(celery_cli.running_tasks(active, self._hostname, time.time()))


def give_back(module: AnsibleModule) -> tuple[list[str], list[str]]:
    """Have workers take tasks again that this run, or one before it, had take no more.

    Returns those that do, and those that were told to finish; see `consumers_program.give_back`.
    """
    state = guard.state(module)
    back, finishing = consumers_program.give_back(state)
    if state.get("consumers") or state.get("waiting"):
        guard.forget_consumers(module)
    return back, finishing
