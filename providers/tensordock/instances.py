"""The life of an instance at TensorDock, one request at a time: order, list, look, start, stop, delete."""

from __future__ import annotations

from functools import partial
from typing import Final

from errors import MachineLostError, NoCapacityError, ProviderBusyError, ProviderError, ProviderRefusedError
from providers.base import Machine, MachineId, MachineState, Offer, OrderPermit, Tag
from providers.single_flight import Depart, SingleFlight
from providers.tensordock import parse
from providers.tensordock.client import TensorDockClient
from providers.tensordock.cloud_init import cloud_init
from providers.tensordock.error_table import Meaning
from providers.tensordock.operations import Operation
from providers.tensordock.responses import ResponseReader, ignored

# Plain Ubuntu: it comes without an NVIDIA driver, and CloudyPad, which brings its own, wants none there.
_IMAGE: Final = "ubuntu2404"
_STARTED: Final = frozenset({MachineState.RUNNING, MachineState.STARTING, MachineState.CREATING})
_STOPPED: Final = frozenset({MachineState.STOPPED, MachineState.STOPPED_RELEASED, MachineState.STOPPING})


class Instances:
    def __init__(
        self, client: TensorDockClient, answers: ResponseReader, tag_prefix: str, public_key: str | None
    ) -> None:
        self._client = client
        self._answers = answers
        self._tag_prefix = tag_prefix
        self._public_key = public_key
        self._list: SingleFlight[tuple[Machine, ...]] = SingleFlight(self._listed)

    async def close(self) -> None:
        await self._list.close()

    async def order(self, offer: Offer, tag: Tag, permit: OrderPermit) -> MachineId:
        """Order once, looking at nothing. ProviderBusyError: it may have been taken (NothingSentError: it was not)."""
        if self._public_key is None:
            raise ProviderRefusedError("this process has no SSH key and orders no machines")
        created = self._client.create(_attributes(offer, tag, self._public_key), permit)
        return await self._answers.must_read(Operation.CREATE, created, parse.ordered_id)

    async def listed(self) -> tuple[Machine, ...]:
        """Ours, in the order of the list. The question leaves after the call, and one serves all who wait for it."""
        return await self._list.get()

    async def machine(self, machine_id: MachineId) -> Machine | None:
        looked = self._client.instance(_checked(machine_id))
        found = await self._answers.read(Operation.GET_INSTANCE, looked, parse.instance)
        return None if isinstance(found, Meaning) else found

    async def start(self, machine_id: MachineId) -> None:
        said = await self._answers.read(Operation.START, self._client.start(_checked(machine_id)), ignored)
        if said is None or said is Meaning.DONE:
            return
        machine = await self._existing(machine_id, said)
        if machine.state in _STARTED:
            return
        given_away = said is Meaning.GIVEN_AWAY and machine.state is MachineState.STOPPED
        if given_away or machine.state is MachineState.STOPPED_RELEASED:
            raise NoCapacityError(f"machine {machine_id} cannot be started: its hardware was given away")
        raise ProviderBusyError(f"machine {machine_id} is {machine.state} and cannot be started now")

    async def stop(self, machine_id: MachineId) -> None:
        """Version 0 stops and frees the GPU; version 2 only stops. Whether version 0 knows machines that version 2
        made is not documented: whatever it answers short of a success, version 2 has the last word."""
        if self._client.has_key and await self._freed(_checked(machine_id)):
            return
        said = await self._answers.read(Operation.STOP, self._client.stop(_checked(machine_id)), ignored)
        if said is None or said is Meaning.DONE:
            return
        machine = await self._existing(machine_id, said)
        if machine.state not in _STOPPED:
            raise ProviderBusyError(f"machine {machine_id} is {machine.state} and cannot be stopped now")

    async def release(self, machine_id: MachineId) -> None:
        await self._answers.read(Operation.DELETE, self._client.delete(_checked(machine_id)), ignored)

    async def _listed(self, depart: Depart) -> tuple[Machine, ...]:
        parser = partial(parse.instances, prefix=self._tag_prefix)
        return await self._answers.must_read(Operation.LIST_INSTANCES, self._client.instances(depart), parser)

    async def _freed(self, machine_id: MachineId) -> bool:
        try:
            asked = self._client.stop_and_free(machine_id)
            said = await self._answers.read(Operation.STOP_AND_FREE, asked, ignored)
            if said is Meaning.WRONG_STATE:
                machine = await self.machine(machine_id)
                return machine is not None and machine.state in _STOPPED
        except ProviderError:
            return False
        return said is None or said is Meaning.DONE

    async def _existing(self, machine_id: MachineId, said: Meaning) -> Machine:
        machine = None if said is Meaning.GONE else await self.machine(machine_id)
        if machine is None:
            raise MachineLostError(f"TensorDock does not know machine {machine_id}")
        return machine


def _attributes(offer: Offer, tag: Tag, public_key: str) -> dict[str, object]:
    resources: dict[str, object] = {
        "vcpu_count": offer.vcpus,
        "ram_gb": offer.ram_gb,
        "storage_gb": offer.storage_gb,
    }
    if offer.gpu_model is not None:
        resources["gpus"] = {offer.gpu_model: {"count": 1}}
    return {
        "name": tag,
        "type": "virtualmachine",
        "image": _IMAGE,
        "resources": resources,
        "hostnode_id": offer.site_id,
        "useDedicatedIp": True,
        "ssh_key": public_key,
        "cloud_init": cloud_init(public_key),
    }


def _checked(machine_id: MachineId) -> MachineId:
    if not parse.is_machine_id(machine_id):
        raise ProviderRefusedError("this cannot be the id of a machine at TensorDock")
    return machine_id
