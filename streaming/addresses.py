"""Where a machine is reached: the ports are those seen from outside."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """`ssh_host_key` is the pinned key as OpenSSH public key text; None before the first contact, which learns it."""

    host: str
    ssh_port: int
    ssh_user: str
    ssh_host_key: str | None
    https_port: int
    http_port: int
    rtsp_port: int
