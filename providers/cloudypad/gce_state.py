"""Google's own state of a CloudyPad machine, which overrides CloudyPad's."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from errors import ProviderError
from providers.base import Machine, MachineId, MachineState, Tag
from providers.cloudypad.instances import Instance
from providers.google.billing_export import MACHINE_LABEL
from providers.google.compute import ComputeEngine, GoogleServer
from providers.outage_log import Outage

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
# Google's states. Others leave CloudyPad's state unchanged.
_STATES: Final = {
    "PROVISIONING": MachineState.STARTING,
    "STAGING": MachineState.STARTING,
    "RUNNING": MachineState.RUNNING,
    "PENDING_STOP": MachineState.STOPPING,
    "STOPPING": MachineState.STOPPING,
    "SUSPENDING": MachineState.STOPPING,
    "TERMINATED": MachineState.STOPPED_RELEASED,
    "STOPPED": MachineState.STOPPED_RELEASED,
    "SUSPENDED": MachineState.STOPPED,  # its memory is kept and billed
    "DEPROVISIONING": MachineState.DELETING,
}


class GceStateOverlay:
    """Replaces CloudyPad's state by Google's.

    Without a ComputeEngine, or while it does not respond, CloudyPad's state is kept.
    """

    def __init__(self, compute: ComputeEngine | None) -> None:
        self._compute = compute
        self._outage = Outage("GOOGLE_COMPUTE")

    async def overlay(self, instance: Instance, machine: Machine) -> Machine:
        """Return the machine as Google sees it: VANISHED if Google has none. Never raises a ProviderError."""
        if self._compute is None or not instance.provisioned or instance.server_deleted or instance.zone is None:
            return machine
        name = instance.server_name or ""
        name = name if _NAME.fullmatch(name) else f"cloudypad-{instance.name}"
        try:
            server = await self._compute.server(name, instance.zone, (MACHINE_LABEL, machine.tag))
        except ProviderError as error:
            self._outage.record_failure("look", str(error))
            return machine
        self._outage.record_success("look")
        if server is None:
            return replace(machine, state=MachineState.VANISHED)
        await self._ensure_label(self._compute, server, machine)
        state = _STATES.get(server.status, machine.state)
        off_since = server.stopped_at if state is MachineState.STOPPED_RELEASED else None
        return replace(machine, state=state, off_since=off_since)

    async def list_labelled(self) -> list[Machine]:
        """Return every machine at Google that has our label, whether CloudyPad knows it or not."""
        servers = [] if self._compute is None else await self._compute.list_labelled(MACHINE_LABEL)
        return [_by_label(server, server.labels[MACHINE_LABEL]) for server in servers if MACHINE_LABEL in server.labels]

    async def _ensure_label(self, compute: ComputeEngine, server: GoogleServer, machine: Machine) -> None:
        """Label the machine so that Google's bill can be attributed. A failure is retried at the next look."""
        if server.labels.get(MACHINE_LABEL) == machine.tag:
            return
        try:
            await compute.set_label(server, MACHINE_LABEL, machine.tag)
        except ProviderError as error:
            self._outage.record_failure("label", str(error))
        else:
            self._outage.record_success("label")


def _by_label(server: GoogleServer, tag: str) -> Machine:
    return Machine(MachineId(tag), Tag(tag), _STATES.get(server.status, MachineState.UNKNOWN))
