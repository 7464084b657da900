"""The argument lists, held against the lines that version 0.45.1 is known to take without a prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import ProviderRefusedError
from providers.cloudypad import commands
from providers.cloudypad.commands import GcpOrder

ORDER = GcpOrder(
    project_id="P",
    region="europe-west4",
    zone="europe-west4-a",
    machine_type="g2-standard-8",
    gpu_type="nvidia-l4",
    disk_gb=50,
    data_disk_gb=100,
    spot=True,
    autostop_seconds=900,
)


def test_a_machine_reached_over_ssh_is_created_by_the_known_line() -> None:
    argv = commands.create_ssh("gw-2001", "203.0.113.7", "ubuntu", Path("/keys/gw-2001"))

    assert " ".join(argv) == (
        "create ssh --name gw-2001 --yes --overwrite-existing --skip-pairing --hostname 203.0.113.7 "
        "--ssh-user ubuntu --ssh-private-key /keys/gw-2001 --streaming-server wolf --autostop no --retries 0"
    )


def test_a_machine_with_a_driver_keeps_it_and_is_set_up_without_restarts() -> None:
    whole = commands.create_ssh("gw-2001", "203.0.113.7", "ubuntu", Path("/keys/gw-2001"))

    argv = commands.create_ssh("gw-2001", "203.0.113.7", "ubuntu", Path("/keys/gw-2001"), has_driver=True)

    assert argv == [
        *whole,
        "--ansible-args-override",
        "--tags prepare-install,docker,nvidia-container-toolkit,rate-limit,wolf,autostop",
    ]


def test_a_google_machine_is_created_by_the_known_line_with_our_key() -> None:
    argv = commands.create_gcp("gw-1001", ORDER, Path("/keys/ours"))

    assert " ".join(argv) == (
        "create gcp --name gw-1001 --yes --overwrite-existing --skip-pairing --project-id P --region europe-west4 "
        "--zone europe-west4-a --machine-type g2-standard-8 --gpu-type nvidia-l4 --disk-size 50 --data-disk-size 100 "
        "--disk-type pd-balanced --network-tier STANDARD --nic-type auto --spot yes --cost-alert no "
        "--streaming-server wolf --autostop --autostop-timeout 900 --data-disk-snapshot no --base-image-snapshot no "
        "--delete-instance-server-on-stop no --ssh-private-key /keys/ours --retries 0"
    )


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (commands.get("gamer-1"), "get gamer-1"),
        (commands.list_names(), "list --format json"),
        (commands.start("gamer-1", 300), "start gamer-1 --wait --timeout 300 --retries 0"),
        (commands.stop("gamer-1", 300), "stop gamer-1 --wait --timeout 300 --retries 0"),
        (commands.restart("gamer-1", 300), "restart gamer-1 --wait --timeout 300 --retries 0"),
        (commands.provision("gamer-1"), "provision gamer-1 --yes --retries 0"),
        (commands.configure("gamer-1"), "configure gamer-1 --retries 0"),
        (commands.deploy("gamer-1"), "deploy gamer-1 --yes --retries 0"),
        (commands.destroy("gamer-1"), "destroy gamer-1 --yes --retries 0"),
        (
            commands.with_lock_broken(commands.destroy("gamer-1")),
            "destroy gamer-1 --yes --retries 0 --force-pulumi-cancel",
        ),
    ],
)
def test_every_verb_gives_all_that_would_be_asked_for(argv: list[str], line: str) -> None:
    assert " ".join(argv) == line


@pytest.mark.parametrize(
    "name", ["vm1", "gw-3f2a9c", "Gamer-1", "gamer--1", "-gamer", "gamer_1", "gamer 1", "", "../x"]
)
def test_names_that_cloudypad_would_ask_about_never_reach_it(name: str) -> None:
    with pytest.raises(ProviderRefusedError):
        commands.get(name)


@pytest.mark.parametrize("host", ["-oProxyCommand=reboot", "a b", "", "host;reboot", "x" * 300])
def test_hosts_that_are_none_are_refused(host: str) -> None:
    with pytest.raises(ProviderRefusedError):
        commands.create_ssh("gamer-1", host, "ubuntu", Path("/key"))


@pytest.mark.parametrize("user", ["--yes", "Root", "a b", "", "x" * 40])
def test_users_that_are_none_are_refused(user: str) -> None:
    with pytest.raises(ProviderRefusedError):
        commands.create_ssh("gamer-1", "203.0.113.7", user, Path("/key"))
