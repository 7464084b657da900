"""Packets that arrive at a machine's UDP ports: those of simulated players, and real ones."""

from __future__ import annotations

import asyncio
from collections import Counter

from simulator.clock import Clock

PACKETS_PER_S = 10  # a connected Moonlight pings, and sends input and loss statistics, all the time


class Traffic:
    """The counts since the machine was switched on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._arrived: Counter[int] = Counter()
        self._senders: dict[str, tuple[int, float]] = {}

    def arrived(self, port: int) -> int:
        now = self._clock.now()
        sending = [since for sent_to, since in self._senders.values() if sent_to == port]
        return self._arrived[port] + sum(_packets(since, now) for since in sending)

    def begin(self, sender: str, port: int) -> None:
        """Count packets of a client to this port from now on."""
        self.end(sender)
        self._senders[sender] = (port, self._clock.now())

    def end(self, sender: str) -> None:
        if sender in self._senders:
            port, since = self._senders.pop(sender)
            self._arrived[port] += _packets(since, self._clock.now())

    def add(self, port: int) -> None:
        """Count one real packet."""
        self._arrived[port] += 1

    def forget(self) -> None:
        self._arrived.clear()
        self._senders.clear()


class CountingSocket(asyncio.DatagramProtocol):
    """A socket that counts real packets to a simulated machine and answers none."""

    def __init__(self, traffic: Traffic, port: int) -> None:
        self._traffic = traffic
        self._port = port

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._traffic.add(self._port)


def _packets(since: float, now: float) -> int:
    return 1 + int((now - since) * PACKETS_PER_S)
