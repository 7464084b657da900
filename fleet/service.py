"""Passes commands to a machine's own workflow, the only writer of its status."""

from __future__ import annotations

import re
from typing import Final, Protocol

from errors import InvalidInputError, InvalidStateError, ProviderDownError, UnavailableError
from fleet.messages import Command, CommandRequest, CommandResult, PairResult, Pin
from fleet.owners import Workflows
from models.database import Database
from models.launches import ENDED as LAUNCH_ENDED
from models.launches import Launch
from models.vms import ENDED, Vm, VmStatus
from providers.tags import belongs_to

_COME_BACK: Final = {Command.START, Command.RESTART}  # the player means to play after these
_PIN: Final = re.compile(r"[0-9]{4}")


class MachineCommandClient(Protocol):
    """The part of Temporal's client that sends commands to a machine's workflow."""

    async def ask_machine(self, vm_id: str, asked: CommandRequest) -> CommandResult: ...

    async def pair_machine(self, vm_id: str, pin: Pin) -> PairResult: ...


class ForeignMachineError(InvalidStateError):
    """Another deployment is responsible for the machine: this database is a copy of that deployment's."""

    def __init__(self, status: str, tag: str) -> None:
        super().__init__(f"{tag} is a machine of another deployment, which takes commands for it", status, ("vmId",))


class MachineService:
    def __init__(
        self,
        db: Database,
        engine: MachineCommandClient,
        workflows: Workflows | None = None,
        *,
        deployment: str = "main",
    ) -> None:
        """Set up the service.

        `workflows` starts the workflow of a machine that has none, so that a command finds one. It does not do so for
        machines of other deployments than `deployment`.
        """
        self._db = db
        self._engine = engine
        self._workflows = workflows
        self._deployment = deployment

    async def command(self, vm: Vm, command: Command, reason: str, *, discard: bool = False) -> Vm:
        """Send a command and return the VM as soon as it has begun. A command for the present state changes nothing.

        `discard` gives up saves that could not be uploaded, and is effective only if the VM reported that loss before.
        Raises InvalidStateError, with the status, if the command is not possible now.
        """
        if vm.status in ENDED and command is not Command.DELETE:
            raise _not_now(command, vm.status)
        if vm.status in ENDED:
            return vm
        try:
            discard = discard and vm.saves_warning is not None
            answer = await self._ask(vm, CommandRequest(command, reason, command in _COME_BACK, discard=discard))
        except ForeignMachineError:
            raise
        except InvalidStateError:
            vm = await self._db.get(Vm, vm.id) or vm
            if vm.status in ENDED and command is Command.DELETE:
                return vm
            raise _not_now(command, vm.status) from None
        if not answer.accepted:
            raise _not_now(command, answer.status)
        return await self._db.get(Vm, vm.id) or vm

    async def _ask(self, vm: Vm, asked: CommandRequest) -> CommandResult:
        try:
            return await self._engine.ask_machine(vm.id, asked)
        except InvalidStateError:
            if self._workflows is None or not await self._lacks_workflow(vm.id):
                raise
            if not belongs_to(vm.tag, self._deployment):
                raise ForeignMachineError(vm.status, vm.tag) from None
            await self._workflows.start_machine(vm.id)
            return await self._engine.ask_machine(vm.id, asked)

    async def _lacks_workflow(self, vm_id: str) -> bool:
        """Return whether a machine without a workflow should have one. A running launch starts it itself."""
        vm = await self._db.get(Vm, vm_id)
        if vm is None or vm.status in {*ENDED, VmStatus.PROVISIONING}:
            return False
        launch = await self._db.get(Launch, vm.launch_id)
        return launch is None or launch.status in LAUNCH_ENDED

    async def pair(self, vm: Vm, pin: str) -> Vm:
        """Pair the device whose Moonlight shows this PIN.

        Raises InvalidInputError for an invalid or wrong PIN, InvalidStateError if no device requests pairing or the
        machine does not run, and ProviderDownError if the machine does not respond.
        """
        if _PIN.fullmatch(pin) is None:
            raise InvalidInputError("the PIN must be the four digits that Moonlight shows", ("pin",))
        try:
            paired = await self._engine.pair_machine(vm.id, Pin(pin, vm.user_id))
        except InvalidStateError:
            raise InvalidStateError(f"the machine is {vm.status}, not RUNNING", vm.status, ("vmId",)) from None
        match paired.fault:
            case None:
                return await self._db.get(Vm, vm.id) or vm
            case "UnavailableError":
                raise UnavailableError(paired.message)
            case "InvalidInputError":
                raise InvalidInputError(paired.message, ("pin",))
            case "InvalidStateError":
                raise InvalidStateError(paired.message, paired.status, ("vmId",))
            case _:
                raise ProviderDownError(f"the machine does not respond: {paired.message}", vm.provider, ("vmId",))


def _not_now(command: Command, status: str) -> InvalidStateError:
    if status == VmStatus.PROVISIONING:
        return InvalidStateError("its launch is setting the machine up: cancel the launch to end it", status, ("vmId",))
    return InvalidStateError(f"a machine that is {status} cannot be asked to {command}", status, ("vmId",))
