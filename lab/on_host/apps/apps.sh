#!/usr/bin/env bash
# Community apps, as their own guides have them installed on a server that runs.
set -euo pipefail
home=/home/allianceserver
project=$home/myauth
# shellcheck source=lab/on_host/image/daemons.sh
. /opt/lab/daemons.sh

as_auth() { runuser -u allianceserver -- env HOME="$home" PATH="$home/venv/auth/bin:$PATH" "$@"; }

as_auth pip install --quiet --no-cache-dir --disable-pip-version-check -r /opt/lab/apps/requirements.txt
as_auth tee -a "$project/myauth/settings/local.py" < /opt/lab/apps/settings.snippet > /dev/null
as_auth sed -i '/^app.autodiscover_tasks/ { e cat /opt/lab/apps/celery.snippet
}' "$project/myauth/celery.py"

start_daemons
cd "$project"
as_auth python manage.py migrate --verbosity 0
as_auth python manage.py collectstatic --noinput --verbosity 0
as_auth python manage.py check
stop_daemons
