"""What the counter on the machine says, and what counts when it cannot."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from streaming.control_port import CONTROL_PORT, Reading, Traffic, measure_traffic, prepare
from streaming.keys import KeyPair
from streaming.ssh import Shell, Ssh
from tests.streaming.box import Box, running_box

SSH_TRACKED = (
    "ipv4     2 tcp      6 431999 ESTABLISHED src=203.0.113.1 dst=10.0.0.2 sport=50000 dport=22 "
    "src=10.0.0.2 dst=203.0.113.1 sport=22 dport=50000 [ASSURED] mark=0 zone=0 use=2"
)
CLIENT_TRACKED = (
    "ipv4     2 udp      17 117 src=203.0.113.9 dst=10.0.0.2 sport=51000 dport=47999 "
    "src=10.0.0.2 dst=203.0.113.9 sport=47999 dport=51000 [ASSURED] mark=0 zone=0 use=2"
)


@dataclass
class Counter:
    """An nft whose table is created by `nft -f -`, with a handle of its own each time."""

    handle: int = 0
    packets: int = 0
    port: int = 0
    scripts: list[str] = field(default_factory=list)
    works: bool = True

    def run(self, argv: list[str], given: bytes) -> tuple[int, str]:
        if not self.works:
            return 1, ""
        if argv[0] == "-f":
            self.scripts.append(given.decode())
            self.handle, self.packets = self.handle + 1, 0
            self.port = int(given.decode().split("dport ")[1].split(" ")[0])
            return 0, ""
        if not self.port:
            return 1, ""
        match = {"match": {"left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": self.port}}
        objects = [
            {"metainfo": {}},
            {"table": {"handle": self.handle}},
            {"counter": {"packets": self.packets}},
            {"rule": {"expr": [match, {"counter": "control"}]}},
        ]
        return 0, json.dumps({"nftables": objects})

    def flush(self) -> None:
        self.port = 0


@dataclass
class Measured:
    box: Box
    shell: Shell
    counter: Counter
    boot_id: str = "boot-1"
    tracked: str | None = None

    def cat(self, argv: list[str], given: bytes) -> tuple[int, str]:
        if argv[0] == "/proc/sys/kernel/random/boot_id":
            return 0, f"{self.boot_id}\n"
        return (0, self.tracked) if self.tracked is not None else (1, "")

    async def look(self, last: Reading | None = None, port: int = CONTROL_PORT) -> Traffic:
        return await measure_traffic(self.shell, port, last, sample_s=0)


@pytest.fixture
async def measured(tmp_path: Path, key: KeyPair, ssh: Ssh) -> AsyncIterator[Measured]:
    async with running_box(tmp_path, key) as box, ssh.shell(box.address) as shell:
        made = Measured(box, shell, Counter())
        box.programs |= {"nft": made.counter.run, "cat": made.cat}
        yield made


async def test_the_counter_is_created_once_and_compared_from_look_to_look(measured: Measured) -> None:
    first = await measured.look()
    measured.counter.packets = 7
    second = await measured.look(first.reading)
    third = await measured.look(second.reading)

    assert [first.arrived, second.arrived, third.arrived] == [False, True, False]
    assert third.reading == Reading("boot-1:1", 7)
    assert len(measured.counter.scripts) == 1


async def test_a_counter_that_began_again_is_never_taken_for_silence(measured: Measured) -> None:
    played = (await measured.look()).reading
    assert played is not None
    before = Reading(played.counter, 500)
    measured.counter.flush()
    await measured.look(before)
    measured.counter.packets = 500

    assert await measured.look(before) == Traffic(arrived=True, reading=Reading("boot-1:2", 500))


async def test_a_counter_that_was_set_to_zero_in_place_counts_what_came_since(measured: Measured) -> None:
    reading = (await measured.look()).reading
    assert reading is not None
    measured.counter.packets = 3

    assert (await measured.look(Reading(reading.counter, 500))).arrived is True


async def test_packets_of_an_unknown_time_are_no_use_now(measured: Measured) -> None:
    await measured.look()
    measured.counter.packets = 100_000

    assert (await measured.look(None)).arrived is False


async def test_a_reboot_with_the_same_handle_is_another_counter(measured: Measured) -> None:
    reading = (await measured.look()).reading
    measured.boot_id = "boot-2"

    after = await measured.look(reading)

    assert after.reading == Reading("boot-2:1", 0)
    assert after.arrived is False


async def test_a_counter_of_another_port_is_replaced(measured: Measured) -> None:
    await measured.look()

    await measured.look(port=48999)

    assert measured.counter.port == 48999
    assert "udp dport 48999 counter" in measured.counter.scripts[-1]


@pytest.mark.parametrize(
    ("tracked", "arrived"),
    [
        (f"{SSH_TRACKED}\n{CLIENT_TRACKED}\n", True),
        (f"{SSH_TRACKED}\n", False),
        ("", None),  # nothing is tracked here: our own connection would be seen
        (None, None),
    ],
)
async def test_without_nftables_the_tracked_connections_say_it(
    measured: Measured, tracked: str | None, arrived: bool | None
) -> None:
    measured.counter.works = False
    measured.tracked = tracked

    assert await measured.look() == Traffic(arrived)


async def test_nftables_is_installed_where_it_is_missing_and_failing_at_it_is_no_error(measured: Measured) -> None:
    measured.counter.works = False
    measured.box.programs["env"] = lambda argv, given: (0 if argv[-1] == "update" else 100, "")

    await prepare(measured.shell)

    assert [command for command in measured.box.commands if command.endswith("nftables")] == [
        "env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -o DPkg::Lock::Timeout=300 install -y "
        "--no-install-recommends nftables"
    ]


@pytest.fixture
def namespace() -> Iterator[list[str]]:
    """A network of its own in which nft may do as it likes."""
    if os.geteuid() != 0 or not (shutil.which("nft") and shutil.which("ip")):
        pytest.skip("the real nftables needs root, iproute2 and the package nftables")
    name = f"control-port-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        inside = ["ip", "netns", "exec", name]
        subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
        yield inside
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


async def test_the_real_nftables_counts_packets_of_both_ip_versions(measured: Measured, namespace: list[str]) -> None:
    def nft(argv: list[str], given: bytes) -> tuple[int, str]:
        ran = subprocess.run([*namespace, "nft", *argv], input=given, capture_output=True, check=False)
        return ran.returncode, ran.stdout.decode()

    def send(host: str, port: int) -> None:
        family = "AF_INET6" if ":" in host else "AF_INET"
        code = f"import socket; socket.socket(socket.{family}, socket.SOCK_DGRAM).sendto(b'x', ({host!r}, {port}))"
        subprocess.run([*namespace, "python3", "-c", code], check=True)

    measured.box.programs["nft"] = nft
    first = await measured.look()
    send("127.0.0.1", 48000)
    other_port = await measured.look(first.reading)
    send("127.0.0.1", CONTROL_PORT)
    ipv4 = await measured.look(other_port.reading)
    send("::1", CONTROL_PORT)
    ipv6 = await measured.look(ipv4.reading)
    nft(["flush", "ruleset"], b"")
    flushed = await measured.look(ipv6.reading)

    assert [each.arrived for each in (first, other_port, ipv4, ipv6, flushed)] == [False, False, True, True, False]
    assert [None if each.reading is None else each.reading.packets for each in (ipv6, flushed)] == [2, 0]
