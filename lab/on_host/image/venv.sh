#!/usr/bin/env bash
# Alliance Auth in the virtual environment where the guide puts it, owned by its user.
set -euo pipefail
venv=/home/allianceserver/venv/auth

as_auth() { runuser -u allianceserver -- env HOME=/home/allianceserver "$@"; }

cd /home/allianceserver
as_auth mkdir venv
as_auth python3 -m venv "$venv"
as_auth "$venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check \
    -r /opt/lab/requirements.txt
