"""The benchmark's command line."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from lab import commands
from lab.errors import LabError

from . import idle, machine, restart, ways

LAB = "bench"


def parser() -> argparse.ArgumentParser:
    """Describe the command line; the environment gives the defaults, for `make bench`."""
    described = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    described.add_argument("parts", nargs="*", metavar="PART", help="idle, change, restart; all by default")
    described.add_argument("--pairs", type=int, default=int(os.environ.get("PAIRS", "7")), help="of idle; 5 or more")
    described.add_argument(
        "--rounds", type=int, default=int(os.environ.get("ROUNDS", "3")), help="of change and restart"
    )
    described.add_argument(
        "--task", type=int, default=int(os.environ.get("TASK", "30")), help="seconds that the running task takes"
    )
    described.add_argument(
        "--long",
        type=int,
        default=int(os.environ.get("LONG", "120")),
        help="seconds of the task in one more round of change, longer than systemd's patience of 90 s; 0 leaves it out",
    )
    return described


def measure(options: argparse.Namespace) -> bool:
    """Print the tables; return whether the targets were met."""
    parts = options.parts or ["idle", "change", "restart"]
    unknown = set(parts) - {"idle", "change", "restart"}
    if unknown:
        raise LabError(f"There is no part {unknown.pop()}; there are idle, change and restart.")
    host = commands.stock_hosts(LAB, os.environ.get("LAB_DISTRO", "").split(), 1)[0]
    print(machine.describe(host), flush=True)
    met = True
    if "idle" in parts:
        met &= idle.measure(LAB, options.pairs)
    if "change" in parts:
        met &= restart.measure(LAB, host, ways.CHANGE, options.rounds, options.task)
        if options.long:
            met &= restart.measure(LAB, host, ways.CHANGE, 1, options.long)
    if "restart" in parts:
        met &= restart.measure(LAB, host, ways.RESTART, options.rounds, options.task)
    return met


def main() -> int:
    """Measure, and remove the server; return 1 if a target was missed."""
    options = parser().parse_args()
    # Being ended from outside is no reason to leave the server behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    try:
        met = measure(options)
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    finally:
        commands.down(LAB)
    print(f"\nThe whole took {time.monotonic() - began:.0f} s.")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
