#!/usr/bin/env bash
# `allianceauth start myauth` as the guide has it, with its database and its web server, and the lab's own app.
# The generated supervisor.conf stays as it is: it is what the collection replaces.
set -euo pipefail
home=/home/allianceserver
project=$home/myauth
# shellcheck source=lab/on_host/image/daemons.sh
. /opt/lab/daemons.sh

# `allianceauth start` looks commands up in PATH: this is what activating the venv does.
as_auth() {
    runuser -u allianceserver -- env HOME="$home" VIRTUAL_ENV="$home/venv/auth" \
        PATH="$home/venv/auth/bin:$PATH" "$@"
}

cd "$home"
as_auth allianceauth start myauth
as_auth mkdir -p "$project/log"
as_auth cp -r /opt/lab/lab_tasks "$project/"
as_auth tee -a "$project/myauth/settings/local.py" < /opt/lab/settings.snippet > /dev/null
as_auth tee -a "$project/myauth/urls.py" < /opt/lab/urls.snippet > /dev/null

install -d -o allianceserver -g allianceserver /var/lib/lab /var/www/myauth /var/www/myauth/static
install -m 644 /opt/lab/nginx.conf /etc/nginx/sites-available/myauth
ln -s /etc/nginx/sites-available/myauth /etc/nginx/sites-enabled/myauth
rm /etc/nginx/sites-enabled/default

start_daemons
mariadb < /opt/lab/database.sql
# Without the names of the time zones Django's queries by date fail.
mariadb-tzinfo-to-sql /usr/share/zoneinfo 2> /dev/null | mariadb mysql
cd "$project"
as_auth python manage.py migrate --verbosity 0
as_auth python manage.py collectstatic --noinput --verbosity 0
as_auth python manage.py check
stop_daemons

ln -s "$project/supervisor.conf" /etc/supervisor/conf.d/myauth.conf
