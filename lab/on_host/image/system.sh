#!/usr/bin/env bash
# The operating system's part of the guide: packages, the two users, sshd.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

# The build has no init: no daemon may start. Servers have no such file, so it goes again,
# also where the distribution's own container image brought it.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d

apt-get update -q
# A build that dies is thrown away, so nothing needs to be flushed to disk.
apt-get install -qy --no-install-recommends -o Dpkg::Options::=--force-unsafe-io \
    systemd systemd-sysv dbus iproute2 procps sudo ca-certificates openssh-server \
    python3 python3-venv python3-dev gcc pkg-config libmariadb-dev \
    supervisor redis-server
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d

update-ca-certificates
# Empty where the network needs nothing said; see lab/machine/network.py.
if [ -s /opt/lab/pip.conf ]; then
    install -m 644 /opt/lab/pip.conf /etc/pip.conf
fi

useradd --create-home --shell /bin/bash allianceserver
chmod 755 /home/allianceserver

useradd --create-home --shell /bin/bash admin
install -d -o admin -g admin -m 700 /home/admin/.ssh
printf 'admin ALL=(ALL) NOPASSWD: ALL\n' > /etc/sudoers.d/admin
chmod 440 /etc/sudoers.d/admin

# Each host makes its own key at its first boot; two hosts with one key would hide mix-ups.
rm -f /etc/ssh/ssh_host_*
printf 'UseDNS no\nPasswordAuthentication no\nHostKey /etc/ssh/ssh_host_ed25519_key\n' \
    > /etc/ssh/sshd_config.d/lab.conf
cat > /etc/systemd/system/lab-host-key.service <<'UNIT'
[Unit]
Description=Make this lab host's SSH key
Before=ssh.service ssh.socket
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key

[Install]
WantedBy=multi-user.target
UNIT
systemctl enable lab-host-key.service ssh.service supervisor.service redis-server.service
# No login of the lab lives long enough for them, and they would wake up during a measurement.
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer fstrim.timer motd-news.timer
