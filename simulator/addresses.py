"""The addresses of machines: a loopback address each where the system allows it, else separate ports."""

from __future__ import annotations

import contextlib
import hashlib
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

SSH, HTTPS, HTTP, RTSP = 22, 47984, 47989, 48010
WELL_KNOWN = (SSH, HTTPS, HTTP, RTSP)
SHARED_ADDRESS = "127.0.0.1"
PROBED_ADDRESS = "127.77.0.1"
ATTEMPTS = 200


@dataclass(frozen=True, slots=True)
class MachineAddress:
    """`ports` maps internal to external ports, and is empty when the real numbers work on that address."""

    ip: str
    ports: Mapping[int, int] = field(default_factory=dict)

    def port(self, internal: int) -> int:
        return self.ports.get(internal, internal)


class NoAddressError(Exception):
    """The system gave no address for a machine."""


def choose(
    seed: str, taken: Collection[str], *, privileged_ports: bool | None = None, own_addresses: bool | None = None
) -> MachineAddress:
    """Return an address without listeners. The same seed leads to the same one while it is free.

    `privileged_ports`: port 22 may be used; `own_addresses`: there are addresses besides 127.0.0.1; None finds out.
    Raises NoAddressError.
    """
    if not (_has_own_addresses() if own_addresses is None else own_addresses):
        return MachineAddress(SHARED_ADDRESS, _free_ports(SHARED_ADDRESS, WELL_KNOWN))
    ssh_on_22 = _may_use_port_22() if privileged_ports is None else privileged_ports
    needed = WELL_KNOWN if ssh_on_22 else (HTTPS, HTTP, RTSP)
    for ip in _own_addresses(seed):
        if ip not in taken and all(_is_free(ip, port) for port in needed):
            return MachineAddress(ip, {} if ssh_on_22 else _free_ports(ip, (SSH,)))
    raise NoAddressError("no free loopback address for a simulated machine")


def _own_addresses(seed: str) -> Iterator[str]:
    """Yield candidates in 127.77.0.0/16."""
    for attempt in range(ATTEMPTS):
        digest = hashlib.sha256(f"{seed}:{attempt}".encode()).digest()
        yield f"127.77.{digest[0]}.{1 + digest[1] % 254}"


def _has_own_addresses() -> bool:
    try:
        _free_ports(PROBED_ADDRESS, (SSH,))
    except OSError:
        return False
    return True


def _may_use_port_22() -> bool:
    try:
        _bound(PROBED_ADDRESS, SSH).close()
    except PermissionError:
        return False
    except OSError:
        return True
    return True


def _is_free(ip: str, port: int) -> bool:
    try:
        _bound(ip, port).close()
    except OSError:
        return False
    return True


def _free_ports(ip: str, internal: Sequence[int]) -> dict[int, int]:
    """Return a free port for each. All are held until the last one is known, so that they differ."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(_bound(ip, 0)) for _ in internal]
        return {port: int(probe.getsockname()[1]) for port, probe in zip(internal, probes, strict=True)}


def _bound(ip: str, port: int) -> socket.socket:
    probe = socket.socket()
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((ip, port))
    except OSError:
        probe.close()
        raise
    return probe
