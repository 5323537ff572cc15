# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow the links of Markdown files, and say which of them lead nowhere.

    python -m scripts.links [--external] FILE...

Without --external: those to files of this checkout and to their headings. With it: those to the web
instead, which needs a network and other people's servers and so is no part of `make lint`.
"""

from __future__ import annotations

import itertools
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

_PARSER = MarkdownIt("commonmark").enable("table")
_WEB = ("http://", "https://")
_PATIENCE_SECONDS = 60
# Names for examples (RFC 2606), and addresses of the reader's own machine.
_NOBODYS = re.compile(r"https?://([^/]*\.)?(example\.(com|net|org)|localhost|127\.0\.0\.1)\b")


def links(text: str) -> Iterator[tuple[int, str]]:
    """Return each link and picture of a Markdown text with the line its paragraph begins in."""
    for block in _PARSER.parse(text):
        for token in block.children or []:
            target = token.attrGet("href") or token.attrGet("src")
            if target:
                yield (block.map[0] + 1 if block.map else 1), str(target)


def anchors(text: str) -> set[str]:
    """Return what a link to a heading of a Markdown text can have behind its `#`, as GitHub makes it."""
    tokens = _PARSER.parse(text)
    titles = [_words(after) for token, after in itertools.pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _words(heading: Token) -> str:
    return "".join(token.content for token in heading.children or [])


def internal_problem(file: Path, target: str) -> str:
    """Return what is wrong with a link of a file to another file or heading, "" if nothing is."""
    path, _hash, anchor = unquote(target).partition("#")
    other = file.parent / path if path else file
    if not other.exists():
        return f"there is no {other}"
    if anchor and other.suffix == ".md" and anchor not in anchors(other.read_text()):
        return f"{other} has no heading #{anchor}"
    return ""


def external_problem(url: str) -> str:
    """Return why a page of the web cannot be had, "" if it can."""
    request = urllib.request.Request(url, headers={"User-Agent": "links.py of allianceauth.tuning"})
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS):
            return ""
    except (urllib.error.URLError, TimeoutError, ValueError) as why:
        return str(why)


def problems(files: list[Path], external: bool) -> list[str]:
    """Return a sentence for each link of the files that leads nowhere."""
    found = [(file, line, target) for file in files for line, target in links(file.read_text())]
    if external:
        found = [link for link in found if link[2].startswith(_WEB) and not _NOBODYS.match(link[2])]
        pages = sorted({target for _file, _line, target in found})
        with ThreadPoolExecutor(8) as pool:
            answers = dict(zip(pages, pool.map(external_problem, pages), strict=True))
        said = [(file, line, target, answers[target]) for file, line, target in found]
    else:
        found = [link for link in found if not link[2].startswith((*_WEB, "mailto:"))]
        said = [(file, line, target, internal_problem(file, target)) for file, line, target in found]
    return [f"{file}:{line}: the link {target} leads nowhere: {why}." for file, line, target, why in said if why]


def main(arguments: list[str]) -> int:
    """Print what leads nowhere; return the exit status."""
    external = arguments[:1] == ["--external"]
    wrong = problems([Path(argument) for argument in arguments[external:]], external)
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
