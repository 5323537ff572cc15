"""Draw one run over time: what the site, the tasks and beat noticed of it.

python -m bench.picture          measure on a server of the lab, write docs/run.json and docs/run.svg
python -m bench.picture --draw   draw docs/run.json once more
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from lab import commands
from lab.machine import ansible_cli
from lab.observe.counts import failed
from lab.observe.traffic import traffic
from lab.podman import engine
from lab.podman.hosts import Host

from .restart import PROBE_EVERY, TAIL_SECONDS, TASKS, await_begun, await_consuming, await_running

LAB = "picture"
DATA = Path(__file__).resolve().parent.parent / "docs/run.json"
PICTURE = DATA.with_suffix(".svg")
TASK_SECONDS = 60
LEAD_SECONDS = 3

Span = Sequence[float]

# Pixels: of the names' column, of the bars, of a row, and of the whole.
_LEFT, _BARS, _ROW, _TOP, _BOTTOM = 210, 660, 34, 14, 44


def measure() -> dict[str, Any]:
    """Return what one run of apply looked like from outside, in seconds since a moment before it."""
    host = commands.stock_hosts(LAB, os.environ.get("LAB_DISTRO", "").split(), 1)[0]
    ansible_cli.run(ansible_cli.apply(LAB)).check_returncode()
    watcher = Watcher(host)
    with traffic(host, "picture", TASKS, [TASK_SECONDS]) as going:
        await_begun(going)
        zero = time.time()
        watcher.start()
        time.sleep(LEAD_SECONDS)
        began = time.time()
        ansible_cli.run(ansible_cli.apply(LAB, "-e", "auth_worker_concurrency=15")).check_returncode()
        ended = time.time()
        await_running(host)
        await_consuming(going)
        time.sleep(TAIL_SECONDS)
        last = time.time()
        watcher.stop()
    counted = going.settle(TASK_SECONDS + 60)
    probe = f"{going.prefix}-0-"
    starts = [line for line in going.ledger() if line["event"] == "start" and line["key"].startswith(probe)]
    once = {line["event"]: line["time"] for line in going.ledger() if line["key"].endswith("-once0")}

    def since(moment: float) -> float:
        return round(max(0.0, moment - zero), 1)

    requests = [request for request in going.requests if zero <= request["time"] <= last]
    return {
        "task_seconds": TASK_SECONDS,
        "seconds": since(last),
        "run": [since(began), since(ended)],
        "requests": len(requests),
        "failed": [[since(one["time"]), since(one["time"] + one["took"])] for one in failed(requests)],
        "task": [since(once["start"]), since(once["end"])],
        "begun": sorted(since(line["time"]) for line in starts if zero <= line["time"] <= last),
        "lost": len(counted.lost),
        "doubled": len(counted.doubled),
        "processes": {
            name: [[since(begin), since(end)] for begin, end in spans] for name, spans in watcher.spans.items()
        },
    }


class Watcher(threading.Thread):
    """Sees when beat, the pool's worker and the one that takes its tasks meanwhile run, as `ps` on the server shows it.

    That one's node is named after the worker's, and when it began; see server/serving.py.
    """

    WATCHED: Mapping[str, str] = {
        "beat": r"celery -A myauth beat",
        "worker": r"celery -A myauth worker .*-n worker_00@",
        "other worker": r"celery -A myauth worker .*-n worker_00-",
    }

    def __init__(self, host: Host) -> None:
        super().__init__(daemon=True)
        self.host = host
        self.spans: dict[str, list[list[float]]] = {name: [] for name in self.WATCHED}
        self._over = threading.Event()

    def run(self) -> None:
        before = dict.fromkeys(self.WATCHED, False)
        while not self._over.is_set():
            shown, now = engine.podman("exec", self.host.container, "ps", "-eo", "args="), time.time()
            for name, pattern in self.WATCHED.items():
                runs = bool(re.search(pattern, shown))
                if runs and not before[name]:
                    self.spans[name].append([now, now])
                elif runs:
                    self.spans[name][-1][1] = now
                before[name] = runs

    def stop(self) -> None:
        """Return once nothing is looked at any more."""
        self._over.set()
        self.join()


def draw(seen: Mapping[str, Any]) -> str:
    """Return the picture of what `measure` has seen, as SVG."""
    end = seen["seconds"]
    rows = [
        ("the site", "site", [(0, end)]),
        ("beat runs", "program", seen["processes"]["beat"]),
        ("the worker runs", "program", seen["processes"]["worker"]),
        ("another worker runs", "program", seen["processes"]["other worker"]),
        (f"a task of {seen['task_seconds']} s", "task", [seen["task"]]),
        ("queued tasks begin", "tick", [(moment, moment) for moment in seen["begun"]]),
        ("ansible-playbook runs", "run", [seen["run"]]),
    ]
    height = _TOP + len(rows) * _ROW + _BOTTOM
    shapes = [
        shape
        for number, (name, kind, spans) in enumerate(rows)
        for shape in _row(name, kind, spans, _TOP + number * _ROW, end)
    ]
    shapes += [_bar("failed", span, _TOP, end, f"{span[0]:g} s: no answer") for span in seen["failed"]]
    for moment in range(0, int(end) + 1, 10 if end < 100 else 20):
        at, below = _place(moment, end), height - _BOTTOM
        shapes.append(f'<line x1="{at}" x2="{at}" y1="{_TOP}" y2="{below}" class="grid"/>')
        shapes.append(f'<text x="{at}" y="{below + 18}" text-anchor="middle">{moment} s</text>')
    width = _LEFT + _BARS + 30
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(_title(seen))}</title>",
            "<style>",
            "text{font:14px sans-serif;fill:#1b1f24}.paper{fill:#fff}.grid{stroke:#0002}",
            ".site{fill:#2e8b57}.failed{fill:#d1242f}.program{fill:#4a7fb5}.task{fill:#8250df}",
            ".tick{fill:#1b1f24}.run{fill:#9aa3ad}",
            "</style>",
            f'<rect class="paper" width="{width}" height="{height}"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def _title(seen: Mapping[str, Any]) -> str:
    return (
        f"A run of apply that changes the concurrency: {len(seen['failed'])} of {seen['requests']} requests to the "
        f"site failed, {seen['lost']} tasks were lost, {seen['doubled']} done twice"
    )


def _row(name: str, kind: str, spans: Iterable[Span], top: int, end: float) -> list[str]:
    title = f'<text x="{_LEFT - 12}" y="{top + 21}" text-anchor="end">{escape(name)}</text>'
    return [title, *(_bar(kind, span, top, end, f"{span[0]:g} to {span[1]:g} s") for span in spans)]


def _bar(kind: str, span: Span, top: int, end: float, title: str) -> str:
    left = _place(span[0], end)
    width = max(1.5, round(_place(span[1], end) - left, 1))
    return (
        f'<rect class="{kind}" x="{left}" y="{top + 7}" width="{width}" height="{_ROW - 14}">'
        f"<title>{title}</title></rect>"
    )


def _place(moment: float, end: float) -> float:
    return round(_LEFT + moment / end * _BARS, 1)


def main(arguments: list[str]) -> None:
    """Measure, unless only to draw, and draw."""
    if arguments != ["--draw"]:
        print(f"A run on a server of the lab, with a task of {TASK_SECONDS} s and one every {PROBE_EVERY:g} s ...")
        try:
            DATA.write_text(json.dumps(measure()) + "\n")
        finally:
            commands.down(LAB)
    PICTURE.write_text(draw(json.loads(DATA.read_text())))
    print(f"{DATA} and {PICTURE}")


if __name__ == "__main__":
    main(sys.argv[1:])
