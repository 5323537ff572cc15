#!/usr/bin/env bash
# Sourced by scripts of the build, which has no init: MariaDB and Redis for as long as Django needs them.

start_daemons() {
    redis-server --daemonize yes --save '' --dir /tmp --pidfile /tmp/redis-build.pid > /dev/null
    install -d -o mysql -g mysql /run/mysqld
    # A build that dies is thrown away, so nothing needs to be flushed to disk.
    eatmydata mariadbd --user=mysql &
    mariadb-admin --silent --wait=60 ping > /dev/null
}

stop_daemons() {
    redis-cli shutdown nosave
    mariadb-admin shutdown
    wait
}
