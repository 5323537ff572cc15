# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What all modules have that ask a Celery application."""

    DOCUMENTATION = r"""
options:
  venv:
    description: The virtual environment with C(bin/celery).
    type: path
    required: true
  project:
    description: The Celery application (C(-A)).
    type: str
    required: true
  project_dir:
    description: The folder to run in.
    type: path
    required: true
  user:
    description: The user that runs the workers.
    type: str
    required: true
"""
