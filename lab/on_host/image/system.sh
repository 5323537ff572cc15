#!/usr/bin/env bash
# The operating system's part of the guide: packages and the two users; and sshd, which the lab logs in by.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

# The build has no init: no daemon may start. Servers have no such file, so it goes again,
# also where the distribution's own container image brought it.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d

# Every host of the image copies this log when it boots first; as shipped it has 96 MB.
install -d /etc/mysql/mariadb.conf.d
printf '[mariadbd]\ninnodb_log_file_size = 8M\n' > /etc/mysql/mariadb.conf.d/99-lab.cnf

# The release file of a distribution that is not released yet may be older than it says it may.
apt-get update -q -o Acquire::Check-Valid-Until=false
# A build that dies is thrown away, so nothing needs to be flushed to disk.
apt-get install -qy --no-install-recommends -o Dpkg::Options::=--force-unsafe-io \
    systemd systemd-sysv dbus iproute2 procps sudo ca-certificates openssh-server tzdata \
    python3 python3-venv python3-dev gcc pkg-config libmariadb-dev \
    mariadb-server redis-server supervisor nginx eatmydata
update-ca-certificates
# Empty where the network needs nothing said; see lab/machine/network.py.
if [ -s /opt/lab/pip.conf ]; then
    install -m 644 /opt/lab/pip.conf /etc/pip.conf
fi

# Ubuntu has sudo-rs and uutils from 25.10 on, and the classic sudo as sudo.ws; so has its nearest relative.
if grep -q VERSION_CODENAME=forky /etc/os-release; then
    apt-get install -qy --no-install-recommends sudo-rs rust-coreutils
    mv /usr/bin/sudo /usr/bin/sudo.ws
    ln -s ../lib/cargo/bin/sudo /usr/bin/sudo
    ln -sf -t /usr/bin /usr/lib/cargo/bin/coreutils/*
fi

apt-get clean
rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d

useradd --create-home --shell /bin/bash allianceserver
chmod 755 /home/allianceserver

# sudo asks one of the two for the password, which is `lab`.
for user in admin manager; do
    useradd --create-home --shell /bin/bash "$user"
    install -d -o "$user" -g "$user" -m 700 "/home/$user/.ssh"
done
printf 'manager:lab\n' | chpasswd
printf 'admin ALL=(ALL) NOPASSWD: ALL\nmanager ALL=(ALL) ALL\n' > /etc/sudoers.d/lab
chmod 440 /etc/sudoers.d/lab

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
systemctl enable lab-host-key.service ssh.service supervisor.service redis-server.service \
    mariadb.service nginx.service
# Socket activation is for those who ask for it; the first boot of a container enables all that there is.
systemctl mask mariadb.socket mariadb-extra.socket
# No login of the lab lives long enough for them, and they would wake up during a measurement.
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer fstrim.timer motd-news.timer
