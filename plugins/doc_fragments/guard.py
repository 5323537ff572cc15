# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What all modules have that a run calls while its guard waits."""

    DOCUMENTATION = r"""
options:
  guard:
    description:
      - The run that holds the lock, as C(name), the RV(allianceauth.tuning.auth_lock#module:run) of
        M(allianceauth.tuning.auth_lock) as C(owner), and the C(seconds) after which its guard acts.
      - The guard is renewed at the beginning and, if the module takes long, meanwhile. Once it has acted, the module
        touches nothing and fails with what the guard did.
      - Without an owner nothing is asked.
    type: dict
    default: {}
"""
