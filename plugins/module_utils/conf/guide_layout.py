# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file of the role says in the guide's layout, for a server whose first file is not kept any more."""

from __future__ import annotations

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file


def text(written: str, log_dir: str, project_logs: str, gunicorn_conf: str) -> str:
    """Return the sections of ``written``, a file of the role, with the same values and nothing of the role's places.

    ``log_dir`` becomes ``project_logs``, and gunicorn has no ``gunicorn_conf`` any more.
    """
    lines = managed_file.body(written).replace(f"{log_dir}/", f"{project_logs}/").splitlines(keepends=True)
    return "".join(line for line in lines if line.split() != ["--config", gunicorn_conf])
