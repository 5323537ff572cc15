"""What traffic says afterwards: which tasks were lost or doubled, how long nobody answered."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TaskCounts:
    """Keys of tasks: all that were sent, those that never ended, those that began or ended twice."""

    sent: tuple[str, ...]
    lost: tuple[str, ...]
    doubled: tuple[str, ...]


def count_tasks(sent: Sequence[str], ledger: Iterable[Mapping[str, Any]]) -> TaskCounts:
    """Compare what was sent with what the ledger has."""
    counted = Counter((str(line["key"]), str(line["event"])) for line in ledger)
    return TaskCounts(
        sent=tuple(sent),
        lost=tuple(key for key in sent if not counted[key, "end"]),
        doubled=tuple(key for key in sent if max(counted[key, "start"], counted[key, "end"]) > 1),
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


def without_worker(sent: Iterable[Mapping[str, Any]], ledger: Iterable[Mapping[str, Any]], every: float) -> float:
    """Return the seconds in which no task began though one was queued every `every` seconds, summed.

    A gap between two beginnings counts if it is longer than three times `every`, and less one
    `every`, which it would have had anyway.
    """
    keys = {task["key"] for task in sent}
    began = sorted(float(line["time"]) for line in ledger if line["event"] == "start" and line["key"] in keys)
    gaps = (after - before for before, after in itertools.pairwise(began))
    return sum(gap - every for gap in gaps if gap > 3 * every)
