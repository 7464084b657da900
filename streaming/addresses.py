"""Addresses and names of machines. The ports are those seen from outside."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """How to reach a machine.

    `ssh_host_key` is the pinned key as OpenSSH public key text; None before the first contact, which learns it. `vm_id`
    and `label` are recorded with the saves that come from the machine.
    """

    host: str
    ssh_port: int
    ssh_user: str
    ssh_host_key: str | None
    https_port: int
    http_port: int
    rtsp_port: int
    _: KW_ONLY
    vm_id: str | None = None
    label: str | None = None
