# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell a webhook how a run has ended.

The controller calls it, and the guard on the server, where it is a program of its own that needs nothing but Python's
library. The address is a secret, so it lies in a file of root's and not among the arguments:

    python3 -I webhook.py CONFIG < TEXT

CONFIG is a JSON object with ``url``, ``format``, ``host`` and ``job``.
"""

from __future__ import annotations

import http.client
import json
import sys
import urllib.error
import urllib.request
from typing import Any, Mapping

FORMATS = ("json", "discord")

# A run waits that long for an answer at its end.
SECONDS = 10

# Discord's own limit. Source: its documentation, "Execute Webhook".
_DISCORD_LETTERS = 2000


def body(given: Mapping[str, str], result: str, text: str) -> dict[str, Any]:
    """Return what is sent: for Discord a message that mentions nobody, else ``host``, ``job``, ``result``, ``text``.

    ``given`` has ``format``, ``host`` and ``job``; ``result`` is ok, failed or guard.
    """
    if given["format"] == "discord":
        said = f"{given['job']} {result}: {text}"
        return {"content": said[:_DISCORD_LETTERS], "allowed_mentions": {"parse": []}}
    return {"host": given["host"], "job": given["job"], "result": result, "text": text}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Has a redirect be an answer like any other: urllib would follow it with a GET, which tells nobody anything."""

    def redirect_request(self, *_request: Any) -> None:
        """Return no request that would follow."""


def send(given: Mapping[str, str], result: str, text: str) -> str:
    """Send it; return "" or why that was not possible, without the address. Never raises."""
    try:
        request = urllib.request.Request(
            given["url"],
            json.dumps(body(given, result, text)).encode(),
            # Discord refuses Python's own name.
            {"Content-Type": "application/json", "User-Agent": "allianceauth.tuning"},
        )
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=SECONDS):
            return ""
    except urllib.error.HTTPError as why:
        return f"it answers {why.code}"
    except urllib.error.URLError as why:
        return str(why.reason)
    except OSError as why:
        return why.strerror or type(why).__name__
    except (ValueError, http.client.HTTPException) as why:
        # Their texts have the address in them.
        return type(why).__name__


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        problem = send(json.load(file), "guard", sys.stdin.read())
    sys.stdout.write(f"the webhook has not taken the message: {problem}\n" if problem else "the webhook was told\n")
