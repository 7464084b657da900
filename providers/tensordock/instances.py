"""Requests to TensorDock about instances: order, list, get, start, stop, delete."""

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
from providers.tensordock.responses import ResponseReader, accept_any

_STARTED: Final = frozenset({MachineState.RUNNING, MachineState.STARTING, MachineState.CREATING})
_STOPPED: Final = frozenset({MachineState.STOPPED, MachineState.STOPPED_RELEASED, MachineState.STOPPING})


class Instances:
    def __init__(
        self, client: TensorDockClient, responses: ResponseReader, tag_prefix: str, public_key: str | None, image: str
    ) -> None:
        self._client = client
        self._responses = responses
        self._tag_prefix = tag_prefix
        self._public_key = public_key
        self._image = image
        self._list: SingleFlight[tuple[Machine, ...]] = SingleFlight(self._read_list)

    async def close(self) -> None:
        await self._list.close()

    async def order(self, offer: Offer, tag: Tag, permit: OrderPermit) -> MachineId:
        """Order once, without looking for an existing machine.

        Raises NothingSentError if the order was not placed, and ProviderBusyError if it may have been.
        """
        if self._public_key is None:
            raise ProviderRefusedError("this process has no SSH key, so it cannot order machines")
        created = self._client.create(_attributes(offer, tag, self._public_key, self._image), permit)
        return await self._responses.must_read(Operation.CREATE, created, parse.ordered_id)

    async def list_machines(self) -> tuple[Machine, ...]:
        """Return our machines in the order of the list.

        The request is sent after the call; one request serves all callers that wait for it.
        """
        return await self._list.get()

    async def machine(self, machine_id: MachineId) -> Machine | None:
        looked = self._client.instance(_validate_id(machine_id))
        found = await self._responses.read(Operation.GET_INSTANCE, looked, parse.instance)
        return None if isinstance(found, Meaning) else found

    async def start(self, machine_id: MachineId) -> None:
        said = await self._responses.read(Operation.START, self._client.start(_validate_id(machine_id)), accept_any)
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
        """Stop a machine, with version 0 first, because it also frees the GPU.

        Whether version 0 knows machines created with version 2 is not documented. If it does not report success,
        version 2 is used and its response decides.
        """
        if self._client.has_key and await self._stop_and_free(_validate_id(machine_id)):
            return
        said = await self._responses.read(Operation.STOP, self._client.stop(_validate_id(machine_id)), accept_any)
        if said is None or said is Meaning.DONE:
            return
        machine = await self._existing(machine_id, said)
        if machine.state not in _STOPPED:
            raise ProviderBusyError(f"machine {machine_id} is {machine.state} and cannot be stopped now")

    async def release(self, machine_id: MachineId) -> None:
        await self._responses.read(Operation.DELETE, self._client.delete(_validate_id(machine_id)), accept_any)

    async def _read_list(self, depart: Depart) -> tuple[Machine, ...]:
        parser = partial(parse.instances, prefix=self._tag_prefix)
        return await self._responses.must_read(Operation.LIST_INSTANCES, self._client.instances(depart), parser)

    async def _stop_and_free(self, machine_id: MachineId) -> bool:
        try:
            asked = self._client.stop_and_free(machine_id)
            said = await self._responses.read(Operation.STOP_AND_FREE, asked, accept_any)
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


def _attributes(offer: Offer, tag: Tag, public_key: str, image: str) -> dict[str, object]:
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
        "image": image,
        "resources": resources,
        "hostnode_id": offer.site_id,
        "useDedicatedIp": True,
        "ssh_key": public_key,
        "cloud_init": cloud_init(public_key),
    }


def _validate_id(machine_id: MachineId) -> MachineId:
    if not parse.is_machine_id(machine_id):
        raise ProviderRefusedError("not a valid id of a TensorDock machine")
    return machine_id
