"""What a container has to be told where the network intercepts TLS or demands a proxy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# Where Debian and Ubuntu, Fedora and Arch put certificates that an administrator adds.
ADDED = (
    Path("/usr/local/share/ca-certificates"),
    Path("/etc/pki/ca-trust/source/anchors"),
    Path("/etc/ca-certificates/trust-source/anchors"),
)
# Bundles a distribution makes from its own and the added ones: nothing new in them.
SYSTEM_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
BUNDLE_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")


def files() -> dict[str, bytes]:
    """Return the files of the image that describe this machine's network, by relative path."""
    certificates = _certificates(os.environ)
    return {**certificates, "pip.conf": pip_conf(bool(certificates), os.environ).encode()}


def pip_conf(intercepted: bool, environment: Mapping[str, str]) -> str:
    """Return /etc/pip.conf, empty where pip works without.

    Debian 12's pip trusts only its own bundle, so it is told where the system's is.
    """
    proxy = environment.get("https_proxy") or environment.get("HTTPS_PROXY")
    index = environment.get("PIP_INDEX_URL")
    lines = [
        *(["cert = /etc/ssl/certs/ca-certificates.crt"] if intercepted else []),
        *([f"proxy = {proxy}"] if proxy else []),
        *([f"index-url = {index}"] if index else []),
    ]
    return "\n".join(["[global]", *lines, ""]) if lines else ""


def _certificates(environment: Mapping[str, str]) -> dict[str, bytes]:
    paths = [path for folder in ADDED for path in sorted(folder.rglob("*.crt"))]
    for variable in BUNDLE_VARIABLES:
        named = environment.get(variable, "")
        if named and named not in SYSTEM_BUNDLES and Path(named).is_file():
            paths.append(Path(named))
    contents = dict.fromkeys(path.read_bytes() for path in paths)
    return {f"certificates/{number}.crt": content for number, content in enumerate(contents)}
