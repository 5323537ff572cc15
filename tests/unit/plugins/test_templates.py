# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of what Alliance Auth's templates wrote is what they wrote."""

from __future__ import annotations

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import description, templates

VERSIONS = ("2.15.1", "3.8.1", "4.6.4", "4.13.1", "5.0.1", "5.5.0")


@pytest.mark.parametrize("version", VERSIONS)
def test_each_value_of_a_template_is_in_the_table(version: str, stock: dict[str, str]) -> None:
    described = description.describe(stock[version])
    assert {"beat", "worker", "gunicorn"} <= set(described.programs)
    for name, section in described.programs.items():
        assert templates.found_items(section) in [dict(known) for known in templates.PROGRAMS[name]]
        assert templates.is_own_log(section, section.options["stdout_logfile"])
    assert set(described.limits) <= templates.LIMITED
    assert {limit.size for limit in described.limits.values()} <= {templates.LIMIT}
    assert set(described.environment) <= templates.ENVIRONMENT
    assert {memmon.options["events"] for memmon in described.memmons} <= {templates.EVENTS}


def test_every_entry_of_the_table_was_written_by_some_version(stock: dict[str, str]) -> None:
    written = [description.describe(stock[version]).programs for version in VERSIONS]
    for name, entries in templates.PROGRAMS.items():
        found = [templates.found_items(programs[name]) for programs in written if name in programs]
        assert all(dict(entry) in found for entry in entries)
