"""The operations on a machine over SSH that the fleet needs, and the save slots of machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from errors import MachineLostError
from models.database import Database
from models.launches import Launch
from models.vms import Vm
from providers.base import ProviderName
from streaming.addresses import Address
from streaming.saves.slots import SaveSlot

if TYPE_CHECKING:
    from streaming.machine import Activity, PairedDevices, Reading, UploadReport

_HTTPS, _HTTP, _RTSP, _SSH = 47984, 47989, 48010, 22
DEFAULT_SLOT: Final = "main"
_CLOUDS: Final = {ProviderName.TENSORDOCK: "TensorDock", ProviderName.CLOUDYPAD: "Google Cloud"}


class OnBoard(Protocol):
    """The part of streaming.machine.StreamingMachines that the fleet needs. Every method may be repeated."""

    async def read_host_key(self, address: Address) -> str:
        """Return its host key, which must equal the pinned one if the address has one."""
        ...

    async def activity(self, address: Address, last: Reading | None = None) -> Activity:
        """Measure whether a client was connected since the last reading."""
        ...

    async def end_sessions(self, address: Address) -> None: ...
    async def upload_saves(self, address: Address, slot: SaveSlot) -> UploadReport: ...
    async def wake(self, address: Address) -> None:
        """Wait after a start until SSH and the stream respond again."""
        ...

    async def arm_shutdown_timer(self, address: Address, after_s: float) -> None:
        """Turn the machine off after this time unless called again."""
        ...

    async def pair(self, address: Address, pin: str, user_id: str) -> None: ...
    async def paired_devices(self, address: Address) -> PairedDevices: ...
    async def pair_next(self, address: Address, pin: str, user_id: str, known: PairedDevices) -> None: ...
    async def finish_pairing(self, address: Address, user_id: str, known: PairedDevices) -> bool: ...


async def require_vm(db: Database, vm_id: str) -> Vm:
    """Return the VM. Raises MachineLostError if it has no record."""
    vm = await db.get(Vm, vm_id)
    if vm is None:
        raise MachineLostError(f"VM {vm_id} has no record")
    return vm


def address_of(vm: Vm) -> Address:
    """Return the machine's address. Raises MachineLostError if it never had one."""
    if vm.ip_address is None:
        raise MachineLostError(f"VM {vm.id} has no address")
    return Address(
        host=vm.ip_address,
        ssh_port=vm.port(_SSH),
        ssh_user=vm.ssh_user,
        ssh_host_key=vm.ssh_host_key,
        https_port=vm.port(_HTTPS),
        http_port=vm.port(_HTTP),
        rtsp_port=vm.port(_RTSP),
        vm_id=vm.id,
        label=_label_of(vm),
    )


def _label_of(vm: Vm) -> str:
    """Return a name of the machine for its player: its location and its cloud."""
    place = ", ".join(part for part in (vm.place.city, vm.place.country) if part) or vm.place.site_id
    cloud = _CLOUDS[vm.provider]
    return f"{place} ({cloud})" if place else cloud


def slot_for(launch: Launch) -> SaveSlot:
    """Return the slot of a launch: user, game and save. Launches without a game have a slot too."""
    return SaveSlot(
        user_id=launch.user_id,
        console=launch.console,
        game_id=launch.game_id,
        save_id=launch.save_id or DEFAULT_SLOT,
    )


async def find_slot(db: Database, vm: Vm) -> SaveSlot | None:
    """Return the slot on the machine now, which the last launch set up there. None before the first launch."""
    if vm.game_launch_id is None:
        return None
    launch = await db.get(Launch, vm.game_launch_id)
    return None if launch is None else slot_for(launch)
