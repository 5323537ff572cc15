# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps tasks whole when somebody else restarts supervisord: systemd's patience, and needrestart's exception.

On ``systemctl restart`` the unit's ExecStop returns at once, and systemd sends TERM to supervisord alone (KillMode is
``process``), which ends its programs gracefully, one group after the other. What is left after ``TimeoutStopSec`` loses
its supervisord and runs on beside the next one. Sources: supervisor.service of Debian's supervisor 4.2, supervisord.py
(ordered_stop_groups_phase_1), needrestart.conf (``override_rc``).
"""

from __future__ import annotations

from typing import Iterable

DROP_IN = "/etc/systemd/system/supervisor.service.d/allianceauth-tuning.conf"
NEEDRESTART = "/etc/needrestart/conf.d/allianceauth-tuning.conf"

# At a reboot all units stop at once, and a task that is to finish needs its broker and its database.
NEEDED_BY_TASKS = "redis-server.service valkey-server.service mariadb.service mysql.service"

# What supervisord needs besides, on a busy host.
_SPARE_SECONDS = 60

NEEDRESTART_TEXT = """\
# allianceauth.tuning: a restart of supervisord stops the site until the workers have finished their tasks. needrestart
# names it and leaves it to you: ansible-playbook allianceauth.tuning.drain, then systemctl restart supervisor here.
$nrconf{override_rc}->{qr(^supervisor\\.service$)} = 0;
"""


def stop_seconds(groups: Iterable[Iterable[int]]) -> int:
    """Return how long supervisord may take to stop, from the ``stopwaitsecs`` of each group's processes."""
    return sum(max(group, default=0) for group in groups) + _SPARE_SECONDS


def too_short(waits: float, needed: int) -> str:
    """Return the sentence on a TimeoutStopSec with which supervisord is killed before its programs have stopped."""
    return (
        f"systemd waits {waits:.0f} s (TimeoutStopSec) for a supervisord that may take {needed} s to stop its programs "
        "(stopwaitsecs)"
    )


def drop_in(seconds: int) -> str:
    """Return the drop-in that has systemd wait so long for supervisord, and stop what tasks need after it."""
    return f"""\
# allianceauth.tuning: whoever stops supervisord has its programs finish what they run (stopwaitsecs), and broker and
# database stop after them.
[Unit]
After={NEEDED_BY_TASKS}

[Service]
TimeoutStopSec={seconds}
"""
