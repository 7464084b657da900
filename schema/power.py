"""What can be asked of a machine."""

from __future__ import annotations

import strawberry

import models.vms
from fleet.commands import Command
from resolvers import power
from schema.ids import key_of
from schema.node import Info
from schema.refusals import Problem, RefusalsAsData
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
    errors: list[Problem] = strawberry.field(default_factory=list)


@strawberry.type
class PowerMutation:
    @strawberry.mutation(
        description="Start a stopped machine. One that runs is left as it is.", extensions=[RefusalsAsData(VmPayload)]
    )
    async def start_vm(self, info: Info, input: VmInput) -> VmPayload:
        return _payload(await power.command(info.context, "startVm", key_of("VM", input.vm_id), Command.START))

    @strawberry.mutation(
        description="Stop a machine; its saves are uploaded first. What is stopped costs its storage alone.",
        extensions=[RefusalsAsData(VmPayload)],
    )
    async def stop_vm(self, info: Info, input: VmInput) -> VmPayload:
        return _payload(await power.command(info.context, "stopVm", key_of("VM", input.vm_id), Command.STOP))

    @strawberry.mutation(description="Stop, then start.", extensions=[RefusalsAsData(VmPayload)])
    async def restart_vm(self, info: Info, input: VmInput) -> VmPayload:
        return _payload(await power.command(info.context, "restartVm", key_of("VM", input.vm_id), Command.RESTART))

    @strawberry.mutation(
        description="Give a machine back. It is DELETED when the cloud says so, and never before its saves are safe.",
        extensions=[RefusalsAsData(VmPayload)],
    )
    async def delete_vm(self, info: Info, input: VmInput) -> VmPayload:
        return _payload(await power.command(info.context, "deleteVm", key_of("VM", input.vm_id), Command.DELETE))

    @strawberry.mutation(
        description="Pair the device that shows this PIN. Choose the machine in Moonlight first.",
        extensions=[RefusalsAsData(VmPayload)],
    )
    async def pair_client(self, info: Info, input: PairClientInput) -> VmPayload:
        return _payload(await power.pair(info.context, key_of("VM", input.vm_id), input.pin))


def _payload(vm: models.vms.Vm) -> VmPayload:
    return VmPayload(vm=VM.of(vm))
