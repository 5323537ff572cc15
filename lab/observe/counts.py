"""What traffic says afterwards: which tasks were lost or doubled, how long nobody answered."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TaskCounts:
    """Keys of tasks: all that were sent, and of these, those that were not done exactly once.

    `lost` have no end; `doubled` began twice, but for retries after a failure, or ended twice;
    `early` began before their countdown was over.
    """

    sent: tuple[str, ...]
    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    early: tuple[str, ...] = ()


def count_tasks(sent: Iterable[Mapping[str, Any]], ledger: Iterable[Mapping[str, Any]]) -> TaskCounts:
    """Compare what was sent, as `load.py` says it, with what the ledger has."""
    lines = list(ledger)
    counted = Counter((str(line["key"]), str(line["event"])) for line in lines)
    begun: dict[str, float] = {}
    for line in lines:
        if line["event"] == "start":
            begun.setdefault(str(line["key"]), float(line["time"]))
    due = {str(task["key"]): float(task["due"]) for task in sent}
    return TaskCounts(
        sent=tuple(due),
        lost=tuple(key for key in due if not counted[key, "end"]),
        doubled=tuple(
            key for key in due if counted[key, "end"] > 1 or counted[key, "start"] > 1 + counted[key, "failure"]
        ),
        early=tuple(key for key in due if begun.get(key, due[key]) < due[key]),
    )


def failed(requests: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the requests without an answer (status 0) or with an error of the server."""
    return [request for request in requests if not 0 < int(request["status"]) < 500]


def downtime(requests: Iterable[Mapping[str, Any]]) -> float:
    """Return the seconds in which the site was away, summed.

    Each time lasts from the sending of the first request that failed to the arrival of the first
    answer to one sent later: a gunicorn that starts accepts connections before it can answer.
    """
    ordered = sorted(requests, key=lambda request: float(request["time"]))
    answers = [
        (float(request["time"]), float(request["time"]) + float(request["took"]))
        for request in ordered
        if not failed([request])
    ]
    total = back = 0.0
    for request in failed(ordered):
        away = float(request["time"])
        if away >= back:
            arrived = [arrival for sent, arrival in answers if sent > away]
            back = min(arrived, default=float(ordered[-1]["time"]))
            total += back - away
    return total


def longest_pause(ledger: Iterable[Mapping[str, Any]], prefix: str, begin: float, end: float) -> float:
    """Return the most seconds between `begin` and `end` in which no task began whose key starts with `prefix`."""
    began = [float(line["time"]) for line in ledger if line["event"] == "start" and line["key"].startswith(prefix)]
    inside = [begin, *sorted(time for time in began if begin < time < end), end]
    return max(after - before for before, after in itertools.pairwise(inside))


def longest_delay(
    sent: Iterable[Mapping[str, Any]], ledger: Iterable[Mapping[str, Any]], begin: float, end: float
) -> float:
    """Return the most seconds by which a task began late whose countdown was over between `begin` and `end`."""
    due = {str(task["key"]): float(task["due"]) for task in sent if task["due"] > task["time"]}
    began: dict[str, float] = {}
    for line in ledger:
        if line["event"] == "start":
            began.setdefault(str(line["key"]), float(line["time"]))
    return max((began[key] - time for key, time in due.items() if begin < time < end and key in began), default=0.0)


def without_worker(sent: Iterable[Mapping[str, Any]], ledger: Iterable[Mapping[str, Any]], every: float) -> float:
    """Return the seconds in which no task began though one was queued every `every` seconds, summed.

    A gap between two beginnings counts if it is longer than three times `every`, and less one
    `every`, which it would have had anyway.
    """
    keys = {task["key"] for task in sent}
    began = sorted(float(line["time"]) for line in ledger if line["event"] == "start" and line["key"] in keys)
    gaps = (after - before for before, after in itertools.pairwise(began))
    return sum(gap - every for gap in gaps if gap > 3 * every)
