# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that is read, offered as variables and written again is the same: for generated variables."""

from __future__ import annotations

from typing import Any

import yaml
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.change import PLACEHOLDER
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import consent
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.unit.plugins.changing import SECRET, Server

SIZES = st.builds("{}MB".format, st.integers(260, 2000))
NUMBERS = st.integers(1, 99)
POOL = {
    "concurrency": NUMBERS,
    "numprocs": st.integers(1, 5),
    "pool": st.sampled_from(["threads", "prefork", "gevent"]),
    "loglevel": st.sampled_from(["info", "debug"]),
    "memory_limit": SIZES,
    "stopwaitsecs": NUMBERS,
    "options": st.lists(st.sampled_from(["-E", "--without-mingle", "--max-tasks-per-child=5"]), unique=True),
}
QUEUES = st.lists(st.sampled_from(["a", "b", "celery"]), min_size=1, unique=True)
SECRETS = st.dictionaries(st.sampled_from(["A", "B_1"]), st.just(SECRET), max_size=2)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "umask": st.just("027"),
        "startsecs": NUMBERS,
        "autorestart": st.booleans(),
        "stopasgroup": st.just("true"),
        "stdout_logfile": st.just("/mnt/a b.log"),
        "environment": SECRETS,
    },
)
BOTS = st.fixed_dictionaries(
    {"command": st.sampled_from(["/bin/bot", "/bin/sh -c 'a \"b\" 50%'", "/opt/celery -A other worker -c 3"])},
    optional={"memory_limit": SIZES, "stopsignal": st.just("INT"), "environment": SECRETS, "stopwaitsecs": NUMBERS},
)
VARIABLES = st.fixed_dictionaries(
    {},
    optional={
        **{f"auth_worker_{key}": values for key, values in POOL.items()},
        "auth_workers": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["worker", "worker_services", "heavy", "light"])},
                optional={**POOL, "queues": QUEUES},
            ),
            max_size=3,
        ),
        "auth_beat": st.just(False),
        "auth_beat_memory_limit": SIZES,
        "auth_beat_options": st.just(["-l", "info"]),
        "auth_gunicorn_workers": NUMBERS,
        "auth_gunicorn_timeout": st.integers(0, 99),
        "auth_gunicorn_bind": st.sampled_from(["0.0.0.0:8001", "unix:/run/a.sock", "[::1]:80"]),
        "auth_gunicorn_memory_limit": SIZES,
        "auth_gunicorn_stopsignal": st.just("QUIT"),
        "auth_gunicorn_options": st.just(["--preload", "--max-requests", "50"]),
        "auth_memmon_event": st.sampled_from(["TICK_5", "TICK_3600"]),
        "auth_memmon_email": st.just("me@example.com"),
        "auth_memmon_uptime": st.just("2h"),
        "auth_crashmail_email": st.just("you@example.com"),
        "auth_httpok_url": st.just("http://127.0.0.1:8000/a?b=c"),
        "auth_extra_programs": st.dictionaries(st.sampled_from(["bot", "x.y"]), BOTS, max_size=2),
        "auth_environment": SECRETS,
        "auth_program_settings": st.dictionaries(st.sampled_from(["worker", "gunicorn"]), SETTINGS, max_size=2),
    },
)


# To find the smallest example would take minutes.
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(wanted=VARIABLES)
def test_what_is_read_from_a_file_writes_it_again(role_defaults: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Read a file that is nobody's, take what is offered for the variables, write it, and compare."""
    text = "[" + Server(role_defaults, wanted).file().partition("\n[")[2]
    server = Server(role_defaults)
    offered = "\n".join(consent.block(server.unasked(text), server.explicit))
    answered = Server(role_defaults, yaml.safe_load(offered.replace(PLACEHOLDER, SECRET)) or {})
    assert [consent.line(change) for change in answered.changes(text) if change["chosen"]] == [], offered
