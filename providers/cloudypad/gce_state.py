"""What Google itself says of a CloudyPad machine, over what CloudyPad says of it."""

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
# Google's words. Another one leaves CloudyPad's in place.
_STATES: Final = {
    "PROVISIONING": MachineState.STARTING,
    "STAGING": MachineState.STARTING,
    "RUNNING": MachineState.RUNNING,
    "PENDING_STOP": MachineState.STOPPING,
    "STOPPING": MachineState.STOPPING,
    "SUSPENDING": MachineState.STOPPING,
    "TERMINATED": MachineState.STOPPED_RELEASED,
    "STOPPED": MachineState.STOPPED_RELEASED,
    "SUSPENDED": MachineState.STOPPED,  # its memory is kept, and paid for
    "DEPROVISIONING": MachineState.DELETING,
}


class GceStateOverlay:
    """Without a ComputeEngine, or while it does not answer, CloudyPad's word stands."""

    def __init__(self, compute: ComputeEngine | None) -> None:
        self._compute = compute
        self._outage = Outage("GOOGLE_COMPUTE")

    async def about(self, instance: Instance, machine: Machine) -> Machine:
        """The machine as Google sees it: VANISHED when it has none. Never raises a ProviderError."""
        if self._compute is None or not instance.provisioned or instance.server_deleted or instance.zone is None:
            return machine
        name = instance.server_name or ""
        name = name if _NAME.fullmatch(name) else f"cloudypad-{instance.name}"
        try:
            server = await self._compute.server(name, instance.zone, (MACHINE_LABEL, machine.tag))
        except ProviderError as error:
            self._outage.failed("look", str(error))
            return machine
        self._outage.went_well("look")
        if server is None:
            return replace(machine, state=MachineState.VANISHED)
        await self._labelled(self._compute, server, machine)
        return replace(machine, state=_STATES.get(server.status, machine.state))

    async def labelled(self) -> list[Machine]:
        """Return every machine at Google that carries our label, whether CloudyPad knows it or not."""
        servers = [] if self._compute is None else await self._compute.labelled(MACHINE_LABEL)
        return [_by_label(server, server.labels[MACHINE_LABEL]) for server in servers if MACHINE_LABEL in server.labels]

    async def _labelled(self, compute: ComputeEngine, server: GoogleServer, machine: Machine) -> None:
        """So that Google's bill can be told apart. What fails is done at a later look."""
        if server.labels.get(MACHINE_LABEL) == machine.tag:
            return
        try:
            await compute.label(server, MACHINE_LABEL, machine.tag)
        except ProviderError as error:
            self._outage.failed("label", str(error))
        else:
            self._outage.went_well("label")


def _by_label(server: GoogleServer, tag: str) -> Machine:
    return Machine(MachineId(tag), Tag(tag), _STATES.get(server.status, MachineState.UNKNOWN))
