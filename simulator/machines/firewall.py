"""nftables on a machine: tables with counters of UDP packets. A reboot clears them, as on a real one."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import Any

from simulator.machines.traffic import Traffic

VERSION = {"version": "1.0.9", "release_name": "Old Doc Yak #3", "json_schema_version": 1}
_COUNTED = re.compile(r"udp dport (\d+) counter name \"?(\w+)\"?")
_CHAIN = re.compile(r"chain (\w+) \{\s*type (\w+) hook (\w+) priority (-?\d+); policy (\w+);\s*((?:[^{}]*;?\s*)*?)\}")
_STATEMENT = re.compile(r"(add|delete) table (\w+) (\w+)|table (\w+) (\w+) \{|\S+")


class FirewallError(Exception):
    """The message is what nft prints on stderr."""


@dataclass(slots=True)
class Table:
    """`rules` holds port, counter and what had arrived before the rule; `chains` the base chains as JSON shows them."""

    family: str
    name: str
    handle: int
    counters: list[str] = field(default_factory=list)
    chains: list[dict[str, Any]] = field(default_factory=list)
    rules: list[tuple[str, int, str, int]] = field(default_factory=list)


class Firewall:
    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._tables: dict[tuple[str, str], Table] = {}
        self._handles = itertools.count(1)

    def forget(self) -> None:
        self._tables.clear()
        self._handles = itertools.count(1)

    def run(self, script: str) -> None:
        """Run all statements or none. Raises FirewallError."""
        before = dict(self._tables)
        try:
            self._run(script)
        except FirewallError:
            self._tables = before
            raise

    def listed(self, family: str, name: str) -> dict[str, Any]:
        """Return one table as `nft -j list table` prints it. Raises FirewallError."""
        table = self._tables.get((family, name))
        if table is None:
            raise FirewallError("Error: No such file or directory")
        of = {"family": family, "table": name}
        handles = itertools.count(1)
        objects: list[dict[str, Any]] = [{"table": {"family": family, "name": name, "handle": table.handle}}]
        for counter in table.counters:
            packets = sum(self._traffic.arrived(port) - base for _, port, to, base in table.rules if to == counter)
            shown = {"name": counter, "handle": next(handles), "packets": packets, "bytes": packets * 64}
            objects.append({"counter": of | shown})
        objects += [{"chain": of | chain | {"handle": next(handles)}} for chain in table.chains]
        for chain, port, counter, _ in table.rules:
            match = {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": port}
            expr = [{"match": match}, {"counter": counter}]
            objects.append({"rule": of | {"chain": chain, "handle": next(handles), "expr": expr}})
        return {"nftables": [{"metainfo": VERSION}, *objects]}

    def _run(self, script: str) -> None:
        position = 0
        while found := _STATEMENT.search(script, position):
            position = found.end()
            if found[1]:
                self._add_or_delete(found[1], found[2], found[3])
            elif found[4]:
                end = _end_of_block(script, position)
                self._fill(self._added(found[4], found[5]), script[position:end])
                position = end + 1
            elif found[0] != ";":
                raise FirewallError(f"Error: syntax error, unexpected {found[0]}")

    def _add_or_delete(self, verb: str, family: str, name: str) -> None:
        if verb == "add":
            self._added(family, name)
        elif self._tables.pop((family, name), None) is None:
            raise FirewallError("Error: No such file or directory; did you mean table?")

    def _added(self, family: str, name: str) -> Table:
        key = (family, name)
        if key not in self._tables:
            self._tables[key] = Table(family, name, next(self._handles))
        return self._tables[key]

    def _fill(self, table: Table, block: str) -> None:
        table.counters += re.findall(r"counter (\w+) \{", block)
        for name, kind, hook, priority, policy, rules in _CHAIN.findall(block):
            table.chains.append({"name": name, "type": kind, "hook": hook, "prio": int(priority), "policy": policy})
            for port, counter in _COUNTED.findall(rules):
                if counter not in table.counters:
                    raise FirewallError("Error: No such file or directory; did you mean counter?")
                table.rules.append((name, int(port), counter, self._traffic.arrived(int(port))))


def _end_of_block(script: str, position: int) -> int:
    depth = 1
    for index in range(position, len(script)):
        depth += {"{": 1, "}": -1}.get(script[index], 0)
        if depth == 0:
            return index
    raise FirewallError("Error: syntax error, unexpected end of file")
