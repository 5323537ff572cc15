"""The lab's command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import commands
from .errors import LabError
from .machine import prerequisites
from .machine.paths import UNNAMED, lab_name
from .podman.distros import DISTROS
from .podman.image import Contents


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    main_parser = argparse.ArgumentParser(
        prog="python3 -m lab", description="Real Alliance Auth servers in containers."
    )
    verbs = main_parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")

    name = argparse.ArgumentParser(add_help=False)
    name.add_argument("--name", help="which lab; inventory in .lab/NAME/ instead of .lab/")
    image = argparse.ArgumentParser(add_help=False)
    image.add_argument("--distro", action="append", default=[], help=f"{', '.join(DISTROS)}; may be repeated")
    image.add_argument("--auth-version", default="", help="another Alliance Auth, such as 5.0.0")
    image.add_argument("--apps", action="store_true", help="with community apps (Python 3.10 and newer)")

    start = verbs.add_parser("up", parents=[name, image], help="start hosts and wait for them")
    start.add_argument("--hosts", type=int, default=1, metavar="N", help="of each distribution")
    stop = verbs.add_parser("down", parents=[name], help="remove what `up` made")
    stop.add_argument("--all", action="store_true", help="every lab of this checkout")
    verbs.add_parser("reset", parents=[name], help="bring every host back to its stock state")
    build = verbs.add_parser("image", parents=[image], help="build and cache images only")
    build.add_argument("--prune", action="store_true", help="remove unused images of other hashes")
    verbs.add_parser("status", help="show hosts and images")
    execute = verbs.add_parser("exec", parents=[name], help="run a command as root on a host")
    execute.add_argument("host")
    execute.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    verbs.add_parser("prerequisites", help="install what this machine lacks, or say how")
    return main_parser


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says; return the exit status."""
    lab = lab_name(arguments.name) if getattr(arguments, "name", None) else UNNAMED
    if arguments.verb == "up":
        if arguments.hosts < 1:
            raise LabError(f"--hosts {arguments.hosts}: at least 1; `down` removes hosts.")
        commands.up(lab, arguments.distro, arguments.hosts, Contents(arguments.auth_version, arguments.apps))
    elif arguments.verb == "down":
        commands.down(None if arguments.all else lab)
    elif arguments.verb == "reset":
        commands.reset(lab)
    elif arguments.verb == "image":
        commands.build(arguments.distro, Contents(arguments.auth_version, arguments.apps), arguments.prune)
    elif arguments.verb == "status":
        commands.status()
    elif arguments.verb == "exec":
        words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
        return commands.execute(lab, arguments.host, words or ["bash"])
    else:
        installed = prerequisites.ensure()
        print(f"Installed {', '.join(installed)}." if installed else "Nothing is missing.")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and turn a known failure into its sentence."""
    try:
        return run(parser().parse_args(arguments))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; `python3 -m lab down` removes what is half done.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
