"""Loopback ports for children, which keep their port over restarts."""

from __future__ import annotations

import asyncio
import random
import socket
from contextlib import suppress
from typing import Final

# Below the ephemeral range: an outgoing connection there could occupy the port of a dead child.
PORTS: Final = range(20_000, 30_000)


def free_port(*, preferred: int = 0) -> int:
    """Return the preferred port if it is free, else another one. Raise OSError if there is none."""
    for port in (preferred, *random.sample(PORTS, 100)):
        if port and _is_free(port):
            return port
    raise OSError(f"no free port between {PORTS.start} and {PORTS.stop}")


async def accepts(port: int) -> bool:
    """Return whether a process accepts connections on the port."""
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
