# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drain or a start says of itself while it goes on, and when it fails."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.model.memmon import size_text
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import is_orphan, short_name
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import DEFAULT_STOPWAITSECS

# supervisord looks at its children once a second (its supervisord.py, runforever): one look finds that a
# process is past its stopwaitsecs and kills it, the next one reaps it; on a busy host later, and
# whoever looks at supervisord sees it later still. drain.py waits for less, 3 s, after a worker's end.
_SUPERVISORD_SECONDS = 5

# supervisor's startretries is 3 by default: a first life and three more.
_LIVES = 3


class Drained:
    """What is known of a drain after each call of the module; ``workers`` are as the module has them."""

    def __init__(self, host: str, stopwaitsecs: Mapping[str, Any], workers: Iterable[str] = ()) -> None:
        self.host = host
        self.stopwaitsecs = stopwaitsecs
        self.workers = frozenset(workers)
        self.stop_requests: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, list[dict[str, Any]]] = {}
        self.pending: list[dict[str, Any]] = []
        self.changed = False
        self._now = 0.0

    def update(self, answer: Mapping[str, Any]) -> None:
        """Take in what a call of the module has returned."""
        self.stop_requests = answer.get("stop_requests", self.stop_requests)
        self.tasks.update(answer.get("tasks", {}))
        self.pending = answer.get("pending", [])
        self.changed = self.changed or bool(answer.get("changed"))
        self._now = answer.get("now", self._now)

    def overdue(self) -> list[str]:
        """Return the processes that are still there after their time."""
        return [process["name"] for process in self.pending if self._left(process["name"]) + self._grace(process) <= 0]

    def stopping_for(self) -> float:
        """Return the seconds that the processes in state STOPPING have left, 0 if there are none."""
        return max([0.0, *(self._left(p["name"]) for p in self.pending if p["state"] == "STOPPING")])

    def supervised(self) -> list[str]:
        """Return the processes that were told to stop and that supervisord can start again."""
        return [name for name in self.stop_requests if not is_orphan(name)]

    def killed(self) -> list[str]:
        """Return the processes that took all their time: whoever waits no longer has killed them then."""
        return [
            name
            for name, request in self.stop_requests.items()
            if request.get("ended", self._now) - request["at"] >= int(self.stopwaitsecs.get(name, DEFAULT_STOPWAITSECS))
        ]

    def line(self) -> str:
        """Return the line that says who is still finishing what, and how long that may take."""
        described = [
            f"{short_name(p['name'])}{self._doing(p['name'])}, {max(0, round(self._left(p['name'])))} s left"
            for p in self.pending
        ]
        return f"{self.host}: waiting for {'; '.join(described)}"

    def abort_message(self, trouble: str, back: Sequence[str] = ()) -> str:
        """Return the sentence on a drain that was called off.

        ``trouble`` says who could not be started again, and ``back`` names the workers that take tasks again.
        """
        names = " and ".join(f"{short_name(name)}{self._doing(name)}" for name in self.overdue())
        again = f"Not all of it could be started again: {trouble}" if trouble else "What was stopped was started again."
        said = f"{self.host}: {names} did not stop in time, so the run was called off. {again}"
        if back:
            said += f" {_names(back)} {'takes' if len(back) == 1 else 'take'} tasks again."
        if finishing := self.finishing(back):
            one = len(finishing) == 1
            were, they, them = ("was", "it takes", "it") if one else ("were", "they take", "them")
            again = f"{they} no new task until supervisord has started {them} again"
            said += f" {_names(finishing)} {were} told to finish: {again}."
        return f"{said} {self._advice()}"

    def finishing(self, back: Sequence[str]) -> list[str]:
        """Return the workers that still run and that supervisord starts again once they have ended.

        Those of ``back`` take tasks again instead.
        """
        names = [p["name"] for p in self.pending if p["name"] in self.workers and not is_orphan(p["name"])]
        return [name for name in names if name not in back]

    def lost_tasks_warning(self) -> str:
        """Return the line on processes that were killed."""
        names = " and ".join(f"{short_name(name)}{self._doing(name)}" for name in self.killed())
        return f"{self.host}: killed after their time: {names}. The tasks they ran are lost."

    def _advice(self) -> str:
        if any(name in self.workers or is_orphan(name) for name in self.overdue()):
            return (
                "Run it again later, give the tasks more time with auth_worker_stopwaitsecs, "
                "or give them up with -e auth_drain_timeout_action=kill."
            )
        # Neither of the two has a say in it.
        return (
            "supervisord itself kills a program that is no worker once its stopwaitsecs is over: "
            "if it is still there, see on the server what it hangs on, and run it again later."
        )

    def _left(self, name: str) -> float:
        at = float(self.stop_requests.get(name, {}).get("at", self._now))
        return int(self.stopwaitsecs.get(name, DEFAULT_STOPWAITSECS)) - (self._now - at)

    def _grace(self, process: Mapping[str, Any]) -> int:
        """Return the seconds that a process may be there after its time, because supervisord is about to end it."""
        on_its_own = process["name"] in self.workers and process["state"] in ("RUNNING", "STARTING")
        return 0 if on_its_own or is_orphan(process["name"]) else _SUPERVISORD_SECONDS

    def _doing(self, name: str) -> str:
        requested = self.stop_requests.get(name, {}).get("at", self._now)
        tasks = self.tasks.get(short_name(name), [])
        running = ", ".join(f"{task['name']} for {round(task['age'] + self._now - requested)} s" for task in tasks)
        return f" ({running})" if running else ""


class Serving:
    """The workers that take tasks during a drain; ``given`` is as the module has them.

    ``limited`` are those that are still weighed, ``replaced`` those that got a successor, and ``warnings`` has a
    sentence on each that could not get one. ``waiting`` are those that take no tasks yet, as the module has them, and
    ``handed_over`` is when the others of them got their queues, in seconds since 1970.
    """

    def __init__(
        self, host: str, given: Mapping[str, Mapping[str, Any]], waiting: Mapping[str, Any] | None = None
    ) -> None:
        self.host = host
        self.waiting: Mapping[str, Any] = waiting or {}
        self.handed_over: float | None = None
        self.limited = {process: one for process, one in given.items() if one["memory_limit"]}
        self.replaced: dict[str, dict[str, int]] = {}
        self.warnings: list[str] = []

    def taking(self) -> dict[str, Mapping[str, Any]]:
        """Return those that are weighed and take tasks already."""
        return {process: one for process, one in self.limited.items() if process not in self.waiting}

    def line(self, process: str, held: int) -> str:
        """Return the line on one that is past its limit."""
        return f"{self.host}: {self._heavy(process, held)} so another one is started, and then it is told to finish"

    def update(self, process: str, held: int, answer: Mapping[str, Any]) -> None:
        """Take in what `celery_standby` has answered; without a successor it is weighed no more."""
        problem = answer.get("msg", "") if answer.get("failed") else answer.get("problem", "")
        if not problem:
            self.replaced[process] = {"held": held, "limit": int(self.limited[process]["memory_limit"])}
            return
        self.warnings.append(
            f"{self.host}: {self._heavy(process, held)} and goes on, for no other one could take its place: "
            f"{problem.rstrip('.')}. It ends with this run; if workers hold so much as a rule, raise the limit."
        )
        del self.limited[process]

    def _heavy(self, process: str, held: int) -> str:
        limit = size_text(int(self.limited[process]["memory_limit"]))
        return (
            f"the worker that takes tasks beside {short_name(process)} holds {held // 1024**2} MB, more than its "
            f"memory limit of {limit},"
        )


class Starts:
    """How often each process was seen to be started, while it was waited for.

    supervisord gives a program up that ends within its ``startsecs``; one that ends
    soon after them it starts for ever, and whoever waits for it waits in vain.
    """

    def __init__(self) -> None:
        self._seen: dict[str, set[int]] = {}

    def restarted_too_often(self, pending: Iterable[Mapping[str, Any]]) -> list[str]:
        """Take in who is waited for; return the processes that had to be started too often."""
        for process in pending:
            if process.get("start"):
                self._seen.setdefault(process["name"], set()).add(process["start"])
        return [name for name, seen in self._seen.items() if len(seen) > _LIVES]

    def said(self, answer: Mapping[str, Any]) -> str:
        """Return the sentence on them, with their last words."""
        names = self.restarted_too_often([])
        said = f"supervisord has to start {' and '.join(names)} again and again."
        return f"{said} {_last_log_lines(answer, names)}".rstrip()


def waiting(host: str, answer: Mapping[str, Any], waited: int) -> str:
    """Return the line that says which processes do not run yet."""
    names = ", ".join(f"{short_name(process['name'])} ({process['state']})" for process in answer["pending"])
    return f"{host}: waiting for {names}, {waited} s so far"


def guarded(host: str, seconds: int) -> str:
    """Return the line that says what a run which is cut off from now on leaves behind."""
    return (
        f"{host}: if this run is interrupted from here on (Ctrl-C, a line that breaks), the server brings itself back "
        f"after {seconds} s; or run it again at once"
    )


def unreachable(host: str, left: int) -> str:
    """Return the line on a server that cannot be reached; ``left`` seconds later it brings itself back."""
    return f"{host}: cannot be reached; trying again for {left} s, after which it brings itself back"


def timeout_message(answer: Mapping[str, Any], waited: int) -> str:
    """Return the sentence on processes that did not come up in time, with their last words."""
    names = ", ".join(f"{process['name']} ({process['state']})" for process in answer["pending"])
    return f"after {waited} s these do not run: {names}. {_last_log_lines(answer, answer.get('logs', {}))}".rstrip()


def _names(names: Iterable[str]) -> str:
    return " and ".join(map(short_name, names))


def _last_log_lines(answer: Mapping[str, Any], names: Iterable[str]) -> str:
    logs = {name: answer.get("logs", {}).get(name, "").rstrip(".") for name in names}
    return " ".join(f"The log of {name} ends with: {text}." for name, text in logs.items() if text)
