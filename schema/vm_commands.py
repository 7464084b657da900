"""Mutations that start, stop, delete or pair a VM."""

from __future__ import annotations

import strawberry

import models.vms
from fleet.messages import Command
from resolvers import vm_commands
from schema.arguments import Input
from schema.ids import key_of
from schema.mutation_errors import ERRORS, ErrorsAsData, MutationError
from schema.node import Info
from schema.vms import VM


@strawberry.input(description="The VM that a command is for.")
class VmInput:
    vm_id: strawberry.ID = strawberry.field(description="The global id of the VM.")


@strawberry.input(description="The device to pair with a VM.")
class PairClientInput:
    vm_id: strawberry.ID = strawberry.field(description="The global id of the VM.")
    pin: str = strawberry.field(description="The four digits that Moonlight shows.")


@strawberry.type(description="The result of a command to a VM.")
class VmPayload:
    vm: VM | None = strawberry.field(
        default=None, description="The VM after the command. Null if the command was refused."
    )
    errors: list[MutationError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type
class PowerMutation:
    @strawberry.mutation(
        description="Start a stopped machine. A machine that is running is left as it is.",
        extensions=[ErrorsAsData(VmPayload)],
    )
    async def start_vm(self, info: Info, input: Input[VmInput]) -> VmPayload:
        return _payload(await _command(info, "startVm", input, Command.START))

    @strawberry.mutation(
        description="Upload a machine's saves, then stop it. A stopped machine costs only its storage.",
        extensions=[ErrorsAsData(VmPayload)],
    )
    async def stop_vm(self, info: Info, input: Input[VmInput]) -> VmPayload:
        return _payload(await _command(info, "stopVm", input, Command.STOP))

    @strawberry.mutation(description="Stop a machine, then start it.", extensions=[ErrorsAsData(VmPayload)])
    async def restart_vm(self, info: Info, input: Input[VmInput]) -> VmPayload:
        return _payload(await _command(info, "restartVm", input, Command.RESTART))

    @strawberry.mutation(
        description="Upload a machine's saves, then delete it. It becomes DELETED once the cloud confirms it, and is "
        "never deleted before its saves are safe.",
        extensions=[ErrorsAsData(VmPayload)],
    )
    async def delete_vm(self, info: Info, input: Input[VmInput]) -> VmPayload:
        return _payload(await _command(info, "deleteVm", input, Command.DELETE))

    @strawberry.mutation(
        description="Delete a machine although its `warning` says that it holds the only copy of saves. The upload is "
        "tried once more; what cannot be uploaded is lost. If no such warning was given before, this "
        "works like deleteVm: the machine is kept and the warning is given first.",
        extensions=[ErrorsAsData(VmPayload)],
    )
    async def delete_vm_without_saves(self, info: Info, input: Input[VmInput]) -> VmPayload:
        return _payload(await _command(info, "deleteVmWithoutSaves", input, Command.DELETE, discard=True))

    @strawberry.mutation(
        description="Pair the device that shows this PIN. The player must first choose the machine in Moonlight.",
        extensions=[ErrorsAsData(VmPayload)],
    )
    async def pair_client(self, info: Info, input: Input[PairClientInput]) -> VmPayload:
        return _payload(await vm_commands.pair(info.context, key_of("VM", input.vm_id), input.pin))


async def _command(info: Info, field: str, input: VmInput, wanted: Command, *, discard: bool = False) -> models.vms.Vm:
    return await vm_commands.command(info.context, field, key_of("VM", input.vm_id), wanted, discard=discard)


def _payload(vm: models.vms.Vm) -> VmPayload:
    return VmPayload(vm=VM.of(vm))
