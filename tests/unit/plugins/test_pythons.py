# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's Python that ansible-core does not support is named at the start of a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.release import __version__ as ansible_core
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import pythons

CHECKOUT = Path(__file__).parents[3]
# Of the Pythons that this collection is tested with. Source: ansible-core's support matrix.
SUPPORTED = {"2.16": (9, 12), "2.17": (9, 12), "2.18": (9, 13), "2.19": (9, 13), "2.20": (9, 14), "2.21": (9, 14)}


def test_ansible_core_says_which_pythons_it_supports() -> None:
    release = ".".join(ansible_core.split(".")[:2])
    assert pythons.supported() == SUPPORTED[release]


def test_the_sentence_names_both_versions_and_the_way_out() -> None:
    lowest, highest = pythons.supported()
    for minor in (8, highest + 1):
        said = pythons.unsupported("auth1", f"3.{minor}.2")
        assert said.startswith(f"auth1: ansible-core {ansible_core}")
        assert f"supports Python 3.{lowest} to 3.{highest} on servers" in said
        assert f"this one has 3.{minor}." in said
        assert "README" in said
    assert pythons.unsupported("auth1", "2.7.18")
    assert not [minor for minor in range(lowest, highest + 1) if pythons.unsupported("auth1", f"3.{minor}.0+")]
    assert not pythons.unsupported("auth1", "")


@pytest.mark.parametrize("module", ["auth_info", "auth_audit_info"])
def test_the_sentence_takes_the_place_of_a_traceback(tmp_path: Path, module: str) -> None:
    """The interpreter dies of whatever it is given, as one does that is too old, and says that it is Python 3.7."""
    interpreter = tmp_path / "python"
    interpreter.write_text('#!/bin/sh\n[ "$1" = --version ] && exec echo Python 3.7.16\necho SyntaxError >&2; exit 1\n')
    interpreter.chmod(0o755)
    given = ["localhost", "--connection=local", f"--extra-vars=ansible_python_interpreter={interpreter}"]
    done = subprocess.run(
        [f"{Path(sys.executable).parent}/ansible", *given, f"--module-name=allianceauth.tuning.{module}"],
        cwd=CHECKOUT,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".cache/collections"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f'"msg": "{pythons.unsupported("localhost", "3.7.16")}"' in done.stdout
