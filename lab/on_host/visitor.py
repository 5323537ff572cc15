"""A visitor who asks nginx for the site again and again. A script of its own: it runs on the host.

    python3 visitor.py [--every 0.1] [--path /]

One JSON line for each request: `time` when it was sent (seconds since the epoch), `took`
(seconds) and `status`, nginx's or, by way of nginx, gunicorn's; 0 if no answer came. Ends with
its standard input, or by itself after --seconds, so that it cannot outlive whoever started it
for long.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

# Longer than nginx waits for gunicorn (proxy_read_timeout, 60 s), so that it is nginx that says so.
PATIENCE_SECONDS = 65
# Requests that hang must not slow down the others: more than PATIENCE_SECONDS / 0.1.
MOST_AT_ONCE = 700


def ask(path: str) -> None:
    """Ask once and print what came of it."""
    began = time.time()
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        status = response.status
    except (OSError, http.client.HTTPException):
        status = 0
    finally:
        connection.close()
    line = {"time": began, "took": round(time.time() - began, 3), "status": status}
    print(json.dumps(line) + "\n", end="", flush=True)


def wait_for_end(stop: threading.Event) -> None:
    """Set `stop` once standard input ends."""
    sys.stdin.read()
    stop.set()


def main() -> None:
    """Ask at a steady rate, however long answers take."""
    parser = argparse.ArgumentParser(description="Ask the site again and again.")
    parser.add_argument("--every", type=float, default=0.1, help="seconds between two requests")
    parser.add_argument("--seconds", type=float, default=900, help="give up after so many")
    parser.add_argument("--path", default="/")
    options = parser.parse_args()
    stop = threading.Event()
    threading.Thread(target=wait_for_end, args=[stop], daemon=True).start()
    due = time.monotonic()
    until = due + options.seconds
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        while due < until and not stop.wait(max(0.0, due - time.monotonic())):
            pool.submit(ask, options.path)
            due += options.every


if __name__ == "__main__":
    main()
