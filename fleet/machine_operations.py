"""What the fleet does on a machine, over SSH, and whose saves lie there."""

from __future__ import annotations

from typing import Final, Protocol

from errors import MachineLostError
from models.database import Database
from models.launches import Launch
from models.vms import Vm
from providers.base import ProviderName
from streaming.machine import Activity, Address, Reading, SaveSlot, UploadReport

_HTTPS, _HTTP, _RTSP, _SSH = 47984, 47989, 48010, 22
DEFAULT_SLOT: Final = "main"
_CLOUDS: Final = {ProviderName.TENSORDOCK: "TensorDock", ProviderName.CLOUDYPAD: "Google Cloud"}


class OnBoard(Protocol):
    """streaming.machine.StreamingMachines does it. Every method may be repeated."""

    async def read_host_key(self, address: Address) -> str:
        """Its host key, which must be the pinned one when the address names one."""
        ...

    async def activity(self, address: Address, last: Reading | None = None) -> Activity:
        """Whether a client was connected since the last reading."""
        ...

    async def end_sessions(self, address: Address) -> None: ...
    async def upload_saves(self, address: Address, slot: SaveSlot) -> UploadReport: ...
    async def wake(self, address: Address) -> None:
        """After a start: SSH and the stream answer again."""
        ...

    async def arm_shutdown_timer(self, address: Address, after_s: float) -> None:
        """The machine turns itself off after this time unless it is armed again."""
        ...

    async def pair(self, address: Address, pin: str, user_id: str) -> None: ...


def address_of(vm: Vm) -> Address:
    """Where and how the machine is reached. Raises MachineLostError when it never had an address."""
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
    """Return a name of the machine that its player understands: where it stands, and at which cloud."""
    place = ", ".join(part for part in (vm.place.city, vm.place.country) if part) or vm.place.site_id
    cloud = _CLOUDS[vm.provider]
    return f"{place} ({cloud})" if place else cloud


def slot_for(launch: Launch) -> SaveSlot:
    """Whose saves, of which game, under which name. A machine without a game has a slot too: something is played."""
    return SaveSlot(
        user_id=launch.user_id,
        console=launch.console,
        game_id=launch.game_id,
        save_id=launch.save_id or DEFAULT_SLOT,
    )


async def slot_of(db: Database, vm: Vm) -> SaveSlot | None:
    """The saves that lie on the machine now: those of the last launch that was set up there. None before the first."""
    if vm.game_launch_id is None:
        return None
    launch = await db.get(Launch, vm.game_launch_id)
    return None if launch is None else slot_for(launch)
