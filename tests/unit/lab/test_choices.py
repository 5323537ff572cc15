"""What the lab decides for the user, and what it says about it."""

from __future__ import annotations

import pytest

from lab.errors import LabError
from lab.machine import network
from lab.machine.paths import lab_name
from lab.podman import distros, hosts, readiness, registry


def test_ubuntu_where_its_image_can_be_had() -> None:
    distro, sentence = distros.default("")
    assert distro.key == "ubuntu2404"
    assert "Ubuntu 24.04" in sentence


def test_debian_where_it_cannot_and_the_reason_is_said() -> None:
    distro, sentence = distros.default("no such host")
    assert distro.key == "debian12"
    assert "Debian 12" in sentence
    assert "Ubuntu 24.04" in sentence
    assert "no such host" in sentence


def test_an_unknown_distribution_is_answered_with_the_known_ones() -> None:
    with pytest.raises(LabError, match=r"fedora.*debian12"):
        distros.named(["debian12", "fedora"])


def test_each_distribution_gets_as_many_hosts() -> None:
    images = {distros.DISTROS["debian12"]: "a", distros.DISTROS["debian13"]: "b"}
    names = [host.name for host in hosts.wanted(images, 2)]
    assert names == ["auth1-debian12", "auth2-debian12", "auth1-debian13", "auth2-debian13"]


@pytest.mark.parametrize(
    ("distro", "podmans", "inits"),
    [("debian11", 0, 0), ("debian12", 0, 0), ("debian13", 0, 2), ("debian14", 2, 0), ("ubuntu2604", 2, 0)],
)
def test_a_systemd_boots_on_a_machine_with_hybrid_control_groups(distro: str, podmans: int, inits: int) -> None:
    arguments = hosts.boot_arguments(distros.DISTROS[distro], hybrid=True)
    assert tuple(map(len, arguments)) == (podmans, inits)
    assert hosts.boot_arguments(distros.DISTROS[distro], hybrid=False) == ([], [])


def test_a_host_is_ready_only_when_every_program_of_the_project_runs() -> None:
    states = readiness.parse(
        "memmon               FATAL     can't find command 'None'\n"
        "myauth:beat          RUNNING   pid 42, uptime 0:00:16\n"
        "myauth:worker_00     STARTING\n"
    )
    assert states == {"memmon": "FATAL", "myauth:beat": "RUNNING", "myauth:worker_00": "STARTING"}
    assert not readiness.running(states)
    assert not readiness.hopeless(states)
    assert readiness.running({**states, "myauth:worker_00": "RUNNING"})
    assert readiness.hopeless({**states, "myauth:worker_00": "FATAL"})


def test_a_daemon_that_does_not_answer_yet_is_not_ready() -> None:
    assert not readiness.running(readiness.parse("unix:///var/run/supervisor.sock no such file\n"))


def test_a_failed_pull_is_told_by_its_innermost_cause() -> None:
    output = "Trying to pull x...\nError: initializing source: dial tcp: lookup r: no such host\n"
    assert registry.reason(output) == "no such host"


def test_pip_is_told_nothing_where_the_network_is_plain() -> None:
    assert network.pip_conf(intercepted=False, environment={}) == ""


def test_pip_is_told_of_certificates_and_proxy() -> None:
    text = network.pip_conf(intercepted=True, environment={"https_proxy": "http://proxy:3128"})
    assert text == ("[global]\ncert = /etc/ssl/certs/ca-certificates.crt\nproxy = http://proxy:3128\n")


@pytest.mark.parametrize("name", ["-", "id_ed25519", "..", "A", "", "a" * 41])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="--name"):
        lab_name(name)
