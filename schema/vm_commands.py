"""What can be asked of a machine."""

from __future__ import annotations

import strawberry

import models.vms
from fleet.messages import Command
from resolvers import vm_commands
from schema.ids import key_of
from schema.mutation_errors import ErrorsAsData, MutationError
from schema.node import Info
from schema.vms import VM


@strawberry.input
class VmInput:
    vm_id: strawberry.ID


@strawberry.input
class PairClientInput:
    vm_id: strawberry.ID
    pin: str = strawberry.field(description="The four digits that Moonlight shows.")


@strawberry.type
class VmPayload:
    vm: VM | None = None
    errors: list[MutationError] = strawberry.field(default_factory=list)


@strawberry.type
class PowerMutation:
    @strawberry.mutation(
        description="Start a stopped machine. One that runs is left as it is.", extensions=[ErrorsAsData(VmPayload)]
    )
    async def start_vm(self, info: Info, input: VmInput) -> VmPayload:
        return _payload(await _command(info, "startVm", input, Command.START))

    @strawberry.mutation(
        description="Stop a machine; its saves are uploaded first. What is stopped costs its storage alone.",
        extensions=[ErrorsAsData(VmPayload)],
    )
    async def stop_vm(self, info: Info, input: VmInput) -> VmPayload:
        return _payload(await _command(info, "stopVm", input, Command.STOP))

    @strawberry.mutation(description="Stop, then start.", extensions=[ErrorsAsData(VmPayload)])
    async def restart_vm(self, info: Info, input: VmInput) -> VmPayload:
        return _payload(await _command(info, "restartVm", input, Command.RESTART))

    @strawberry.mutation(
        description="Give a machine back. It is DELETED when the cloud says so, and never before its saves are safe.",
        extensions=[ErrorsAsData(VmPayload)],
    )
    async def delete_vm(self, info: Info, input: VmInput) -> VmPayload:
        return _payload(await _command(info, "deleteVm", input, Command.DELETE))

    @strawberry.mutation(
        description="Give a machine back although its `warning` says that saves are on it alone: they are tried once "
        "more, and what cannot be uploaded is lost. Where no such loss was named before, this is deleteVm: the machine "
        "is kept and the loss is named first.",
        extensions=[ErrorsAsData(VmPayload)],
    )
    async def delete_vm_without_saves(self, info: Info, input: VmInput) -> VmPayload:
        return _payload(await _command(info, "deleteVmWithoutSaves", input, Command.DELETE, discard=True))

    @strawberry.mutation(
        description="Pair the device that shows this PIN. Choose the machine in Moonlight first.",
        extensions=[ErrorsAsData(VmPayload)],
    )
    async def pair_client(self, info: Info, input: PairClientInput) -> VmPayload:
        return _payload(await vm_commands.pair(info.context, key_of("VM", input.vm_id), input.pin))


async def _command(info: Info, field: str, input: VmInput, wanted: Command, *, discard: bool = False) -> models.vms.Vm:
    return await vm_commands.command(info.context, field, key_of("VM", input.vm_id), wanted, discard=discard)


def _payload(vm: models.vms.Vm) -> VmPayload:
    return VmPayload(vm=VM.of(vm))
