# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would watch nothing, or restart for ever, is refused before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from memory import leaks
from shared import playbook, server

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "gunicorn at rest": (
        {"auth_gunicorn_memory_limit": "256MB"},
        "auth_gunicorn_memory_limit is 256MB, but with 3 children (auth_gunicorn_workers) of ",
    ),
    "a prefork pool at rest": (
        {"auth_workers": [{"name": "worker_fork", "queues": ["fork"], "pool": "prefork", "memory_limit": "256MB"}]},
        "the memory_limit of worker_fork (auth_worker_memory_limit, or its own in auth_workers) is 256MB, but with 4 ",
    ),
    "bytes": ({"auth_worker_memory_limit": "256"}, "auth_worker_memory_limit is '256': "),
    "a unit of its own": ({"auth_worker_memory_limit": "256M"}, "auth_worker_memory_limit is '256M': "),
    "a page that is not there": (
        {"auth_httpok_url": "http://127.0.0.1:8000/nowhere"},
        "auth_httpok_url is http://127.0.0.1:8000/nowhere, which is answered with 404 and not with 200, ",
    ),
    "a page that nobody serves": (
        {"auth_httpok_url": "http://127.0.0.1:8009/"},
        "auth_httpok_url is http://127.0.0.1:8009/, which is answered with nothing (",
    ),
    "a fraction": ({"auth_beat_memory_limit": "0.5GB"}, "auth_beat_memory_limit is '0.5GB': "),
}


@pytest.fixture(scope="module")
def before(host: Any) -> dict[str, str]:
    """Return what is on the tuned server."""
    leaks.all_running(host)
    return server.traces(host)


def refused(host: Any, before: dict[str, str], variables: dict[str, Any]) -> str:
    """Run, and return the sentence of a run that touched nothing."""
    run = playbook.apply(*playbook.extra_vars(variables))
    assert run.status != 0
    assert set(run.changed.values()) == {0}
    assert server.differences(before, server.traces(host)) == {}
    return run.sentence


@pytest.mark.parametrize(("variables", "sentence"), REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_hold_is_refused(
    host: Any, before: dict[str, str], variables: dict[str, Any], sentence: str
) -> None:
    assert sentence in refused(host, before, variables)


@pytest.fixture
def namesake(host: Any) -> Iterator[dict[str, str]]:
    """Have a process of the same name in another group; return what is on the server then."""
    path = "/etc/supervisor/conf.d/other.conf"
    leaks.place(
        host,
        path,
        "[program:other]\ncommand = /bin/sleep 1d\nprocess_name = worker_00\n[group:neighbours]\nprograms = other\n",
    )
    yield server.traces(host)
    server.run(host, f"rm {path}")


def test_a_name_in_two_groups_is_refused(host: Any, namesake: dict[str, str]) -> None:
    said = refused(host, namesake, {"auth_worker_concurrency": 5})
    assert "worker_00, which has a memory limit, exists in the groups myauth and neighbours" in said
