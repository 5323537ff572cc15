# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx makes the site; `make docs` calls it."""

from __future__ import annotations

from typing import Any

from docutils import nodes

project = "allianceauth.tuning"
copyright = "2026, the allianceauth.tuning authors"  # noqa: A001  Sphinx' own name
html_title = "allianceauth.tuning"

extensions = ["myst_parser", "sphinx_antsibull_ext"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
pygments_style = "ansible"

# Headings that can be linked to, by the names that GitHub gives them.
myst_heading_anchors = 3
# `--check` is two hyphens.
smartquotes = False

# What refers to nothing is a warning, and so an error.
nitpicky = True

# Pages of Ansible's own that antsibull-docs refers to. They are named here so that no network is needed.
_ANSIBLE = "https://docs.ansible.com/ansible/latest"
_ELSEWHERE = {
    "action_plugins": f"{_ANSIBLE}/plugins/action.html",
    "ansible_configuration_settings": f"{_ANSIBLE}/reference_appendices/config.html",
    "common_return_values": f"{_ANSIBLE}/reference_appendices/common_return_values.html",
    "ansible_collections.ansible.builtin.systemd_service_module": (
        f"{_ANSIBLE}/collections/ansible/builtin/systemd_service_module.html"
    ),
}


def _link_elsewhere(_app: Any, _env: Any, reference: Any, content: Any) -> nodes.reference | None:
    address = _ELSEWHERE.get(reference.get("reftarget"))
    return nodes.reference("", "", content, refuri=address, internal=False) if address else None


def setup(app: Any) -> None:
    app.connect("missing-reference", _link_elsewhere)
