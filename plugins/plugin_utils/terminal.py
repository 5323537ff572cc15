# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print lines while a run goes on, as the terminal and the callback plugin have room for them."""

from __future__ import annotations

import os
import textwrap
from typing import Any

from ansible import constants
from ansible.utils.display import Display

display = Display()

# Ansible loads this before it starts the processes that run tasks, which have no terminal since ansible-core 2.19.
_ON_TERMINAL = os.isatty(1)


def say(text: str) -> None:
    """Print lines; with a callback plugin that writes JSON on stdout, they go to stderr."""
    width: Any = display.columns if _ON_TERMINAL else 0
    callback = constants.config.get_config_value("DEFAULT_STDOUT_CALLBACK")
    display.display(wrapped(text, width), stderr=writes_json(str(callback)))


def writes_json(callback: str) -> bool:
    """Whether a callback plugin, such as ansible.posix.json, makes one document of all that stdout gets."""
    return "json" in callback.rpartition(".")[2]


def wrapped(text: str, width: int) -> str:
    """Return lines that break between words, and none that is indented: a table, or what is to be pasted.

    ``width`` is that of the terminal, 0 for none.
    """
    lines = text.split("\n")
    if not width:
        return text
    return "\n".join(line if line.startswith(" ") else _broken(line, width) for line in lines)


def _broken(line: str, width: int) -> str:
    return textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
