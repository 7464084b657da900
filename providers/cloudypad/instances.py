"""Parses CloudyPad's output defensively: log lines may precede the JSON, and an empty list is a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from errors import ProviderBusyError

_NO_INSTANCES: Final = "No instances found"


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance as CloudyPad describes it.

    For machines of its ssh provider, `server_status` is always `running`.
    """

    name: str
    provider: str
    host: str | None
    server_status: str
    provisioned: bool
    configured: bool
    ready: bool
    server_name: str | None = None  # at Google
    zone: str | None = None
    machine_type: str | None = None
    gpu_model: str | None = None
    disk_gb: int = 0  # all its disks together
    spot: bool = False
    server_deleted: bool = False  # stopped in the mode that deletes the server and keeps its disks
    ports: Mapping[int, int] = field(default_factory=dict)  # internal to external ports, where they are forwarded


def parse_instance(stdout: str) -> Instance:
    """Parse the output of `get`.

    Raises ProviderBusyError if the output has another form. The output carries keys and is never quoted.
    """
    document = _json_after_log_lines(stdout, "{")
    if not isinstance(document, dict) or "status" not in document:
        raise ProviderBusyError("CloudyPad described an instance in an unknown format")
    provision = _section(document, "provision")
    given, made = _section(provision, "input"), _section(provision, "output")
    status = _section(document, "status")
    return Instance(
        name=str(document.get("name", "")),
        provider=str(provision.get("provider", "")),
        host=_text(made.get("host")),
        server_status=str(status.get("serverStatus", "unknown")),
        provisioned=status.get("provisioned") is True,
        configured=status.get("configured") is True,
        ready=status.get("ready") is True,
        server_name=_text(made.get("instanceName")),
        zone=_text(given.get("zone")),
        machine_type=_text(given.get("machineType")),
        gpu_model=_text(given.get("acceleratorType")),
        disk_gb=_whole(given.get("diskSize")) + _whole(given.get("dataDiskSizeGb")),
        spot=given.get("useSpot") is True,
        ports=_ports(made.get("ports")),
        server_deleted=_section(given, "runtime").get("instanceServerState") == "absent",
    )


def parse_names(stdout: str) -> list[str]:
    """Parse the output of `list`. Raises ProviderBusyError if the output has another form."""
    if _NO_INSTANCES in stdout:
        return []
    document = _json_after_log_lines(stdout, "[")
    if not isinstance(document, list):
        raise ProviderBusyError("CloudyPad listed its instances in an unknown format")
    return [str(name) for name in document]


def _json_after_log_lines(text: str, opening: str) -> object:
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith(opening):
            try:
                return orjson.loads("\n".join(lines[number:]))
            except orjson.JSONDecodeError:
                continue
    return None


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = document.get(name)
    return section if isinstance(section, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _ports(value: object) -> Mapping[int, int]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {int(inside): outside for inside, outside in pairs if str(inside).isdigit() and isinstance(outside, int)}
