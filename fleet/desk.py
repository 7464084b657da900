"""Where commands for a machine are taken: each is for the machine's own workflow, the one writer of its status."""

from __future__ import annotations

from typing import Protocol

from errors import InvalidStateError
from fleet.commands import Answer, Asked, Command
from models.database import Database
from models.vms import ENDED, Vm


class Asking(Protocol):
    """The engine's part: hand a command to a machine's workflow."""

    async def ask_machine(self, vm_id: str, asked: Asked) -> Answer: ...


class Fleet:
    def __init__(self, db: Database, engine: Asking) -> None:
        self._db = db
        self._engine = engine

    async def command(self, vm: Vm, command: Command, reason: str) -> Vm:
        """Returns the VM as soon as the command has begun; asking for what is so already changes nothing.

        Raises InvalidStateError, with the status, when the command is not possible now.
        """
        if vm.status in ENDED and command is not Command.DELETE:
            raise _not_now(command, vm.status)
        if vm.status in ENDED:
            return vm
        try:
            answer = await self._engine.ask_machine(vm.id, Asked(command, reason))
        except InvalidStateError:
            vm = await self._db.get(Vm, vm.id) or vm
            if vm.status in ENDED and command is Command.DELETE:
                return vm
            raise _not_now(command, vm.status) from None
        if not answer.accepted:
            raise _not_now(command, answer.status)
        return await self._db.get(Vm, vm.id) or vm


def _not_now(command: Command, status: str) -> InvalidStateError:
    return InvalidStateError(f"a machine that is {status} cannot be asked to {command}", status, ("vmId",))
