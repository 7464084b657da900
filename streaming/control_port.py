"""Counts the packets that Moonlight clients send to Wolf's control port (UDP 47999).

A connected client sends several per second and a closed one sends none, regardless of Wolf's list of sessions. An
nftables counter on the machine counts them; each check reads it and compares it with the previous reading. The counter
restarts at zero after a reboot or `nft flush ruleset`. A reading includes the counter's identity, so that a restart is
never mistaken for silence. Without nftables, the kernel's connection tracking is read instead.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from errors import ProviderBusyError
from streaming.packages import install
from streaming.ssh import ANY_STATUS, CommandFailedError, Shell

log = logging.getLogger(__name__)

CONTROL_PORT: Final = 47999
SAMPLE_S: Final = 3.0
_TABLE: Final = "gamer_activity"
_LIST: Final = ("nft", "-j", "list", "table", "inet", _TABLE)
_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
_CONNECTIONS: Final = "/proc/net/nf_conntrack"
# Before connection tracking and address translation, so that containers with their own network are counted too. The
# first two lines make the whole an atomic replacement.
_RULES: Final = """\
add table inet {table}
delete table inet {table}
table inet {table} {{
  counter control {{ }}
  chain arriving {{
    type filter hook prerouting priority -300; policy accept;
    udp dport {port} counter name "control"
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading. `counter` identifies the counter since it was last zero."""

    counter: str
    packets: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """Result of a check. `arrived`: whether a client sent anything since the last reading; None if unknown."""

    arrived: bool | None
    reading: Reading | None = None


async def prepare(shell: Shell) -> None:
    """Install nftables if it is missing. Machines that cannot install it are measured in another way."""
    try:
        if (await shell.sudo("nft", "--version", expected=ANY_STATUS)).exit_status == 0:
            return
        await install(shell, "nftables")
    except ProviderBusyError as error:
        log.warning("nftables installation failed", extra={"why": error.message})


async def measure_traffic(shell: Shell, port: int, last: Reading | None, sample_s: float = SAMPLE_S) -> Traffic:
    """Compare the counter with the last reading; without a usable one, watch it for `sample_s` seconds."""
    reading = await _read(shell, port)
    if reading is None:
        return Traffic(await _is_tracked(shell, port))
    if last is not None and reading.counter == last.counter and reading.packets >= last.packets:
        return Traffic(reading.packets > last.packets, reading)
    if last is not None and reading.packets > 0:
        return Traffic(arrived=True, reading=reading)  # it restarted after the last reading, so all packets are new
    await asyncio.sleep(sample_s)
    after = await _read(shell, port)
    if after is None or after.counter != reading.counter:
        return Traffic(None, after)
    return Traffic(after.packets > reading.packets, after)


async def _read(shell: Shell, port: int) -> Reading | None:
    """Return the counter, creating it if it is missing or counts another port. None without nftables."""
    listed = await _read_counter(shell, port)
    if listed is None:
        rules = _RULES.format(table=_TABLE, port=port).encode()
        if (await shell.sudo("nft", "-f", "-", input=rules, expected=ANY_STATUS)).exit_status != 0:
            return None
        listed = await _read_counter(shell, port)
    if listed is None:
        return None
    handle, packets = listed
    boot_id = (await shell.run("cat", _BOOT_ID)).text
    return Reading(f"{boot_id}:{handle}", packets)


async def _read_counter(shell: Shell, port: int) -> tuple[int, int] | None:
    """Return the table's handle, which changes each time it is created, and the packets counted."""
    answer = await shell.sudo(*_LIST, expected=ANY_STATUS)
    if answer.exit_status != 0:
        return None
    try:
        objects: list[dict[str, Any]] = orjson.loads(answer.stdout)["nftables"]
        tables = [each["table"] for each in objects if "table" in each]
        counters = [each["counter"] for each in objects if "counter" in each]
        ports = [_port_of(each["rule"]) for each in objects if "rule" in each]
        if ports != [port]:
            return None
        return int(tables[0]["handle"]), int(counters[0]["packets"])
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, ValueError):
        return None


def _port_of(rule: dict[str, Any]) -> object:
    return next((each["match"]["right"] for each in rule["expr"] if "match" in each), None)


async def _is_tracked(shell: Shell, port: int) -> bool | None:
    """Return whether connection tracking knows a client of the port. An entry outlives its last packet by 2 minutes.

    Returns None if it does not track arriving traffic, in which case it would miss our own SSH connection too.
    """
    try:
        content = await shell.read_file(_CONNECTIONS)
    except CommandFailedError:
        return None
    if content is None:
        return None
    lines = content.decode(errors="replace").splitlines()
    if not any(_goes_to(line, "tcp", 22) and "ESTABLISHED" in line for line in lines):
        return None
    return any(_goes_to(line, "udp", port) for line in lines)


def _goes_to(line: str, protocol: str, port: int) -> bool:
    """Return whether a connection goes to this port: the first `dport` is that of the opening direction."""
    found = re.search(r"\bdport=(\d+)", line)
    return f" {protocol} " in line and found is not None and int(found[1]) == port
