# gunicorn's configuration file, written by the Ansible role allianceauth.tuning.auth.
#
# It lets a second gunicorn listen on the same address (SO_REUSEPORT), which answers while
# this one restarts. gunicorn's own --reuse-port gives each of its workers a socket of its
# own, so that a visitor may wait for a busy worker beside an idle one; here all share one.
import os
from typing import Any

from gunicorn import sock


def on_starting(server: Any) -> None:
    # One that gets its socket from somebody else has nothing to create.
    if "LISTEN_FDS" in os.environ or "GUNICORN_FD" in os.environ:
        return
    server.cfg.set("reuse_port", True)
    try:
        server.LISTENERS = sock.create_sockets(server.cfg, server.log)
    finally:
        server.cfg.set("reuse_port", False)
