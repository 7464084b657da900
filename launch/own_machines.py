"""The player's own machines, running or stopped, that a launch can use instead of a new one."""

from __future__ import annotations

from errors import (
    ProviderRefusedError,
)
from models.catalog import Console
from models.database import Database
from models.launches import Launch
from models.vms import Vm, VmStatus
from providers.tags import belongs_to

_CANDIDATES = 10


class OwnMachines:
    def __init__(self, db: Database, deployment: str) -> None:
        """Set up the search. Only machines of `deployment` are used."""
        self._db = db
        self._deployment = deployment

    async def find_running(self, launch: Launch) -> Vm | None:
        """Return the running machine to use.

        Raises ProviderRefusedError if the launch requests one that it cannot use.
        """
        if launch.requested_vm_id is not None:
            vm = await self._db.get(Vm, launch.requested_vm_id)
            if vm is None or not self._is_usable(vm, launch) or vm.status is not VmStatus.RUNNING:
                raise ProviderRefusedError("the requested machine is no longer running")
            if not _within_cap(vm, launch):
                raise ProviderRefusedError("the requested machine costs more than the launch allows")
            return vm
        if launch.game_id is None:
            return None
        running, _ = await self._db.find_readable(
            Vm,
            {"user_id": launch.user_id, "status": VmStatus.RUNNING, "console": launch.console},
            sort=[("created_at", -1)],
            limit=_CANDIDATES,
        )
        return next((vm for vm in running if self._is_usable(vm, launch) and _within_cap(vm, launch)), None)

    def _is_usable(self, vm: Vm, launch: Launch) -> bool:
        return vm.user_id == launch.user_id and belongs_to(vm.tag, self._deployment)

    async def find_stopped(self, launch: Launch, wanted: Console) -> Vm | None:
        """Return a stopped machine of the player that matches the console's present settings and price limit."""
        if launch.game_id is None:
            return None
        stopped, _ = await self._db.find_readable(
            Vm,
            {"user_id": launch.user_id, "status": VmStatus.STOPPED, "console": launch.console},
            sort=[("created_at", -1)],
            limit=_CANDIDATES,
        )
        for vm in stopped:
            right_cloud = launch.provider in {None, vm.provider}
            gone = vm.id == launch.replaces_vm_id or not self._is_usable(vm, launch)
            if vm.preset is wanted.preset.name and right_cloud and _within_cap(vm, launch) and not gone:
                return vm
        return None


def _within_cap(vm: Vm, launch: Launch) -> bool:
    return launch.max_usd_per_hour is None or vm.usd_per_hour <= launch.max_usd_per_hour
