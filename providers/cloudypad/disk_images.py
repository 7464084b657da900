"""Prepared disk images, and CloudyPad's state of a machine that is created from one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from providers.cloudypad.commands import GcpOrder

_SSH_USER: Final = "ubuntu"


class DiskImages(Protocol):
    """Which image a new machine is created from."""

    async def find(self, region: str, tag: str) -> str | None:
        """Return the image for a new machine in this region; None if it needs the full set-up."""
        ...

    async def record_problem(self, image: str, problem: str) -> None:
        """Use this image no longer."""
        ...


class NoDiskImages:
    """Every machine is set up in full."""

    async def find(self, region: str, tag: str) -> str | None:
        return None

    async def record_problem(self, image: str, problem: str) -> None:
        """Ignore it: there is none."""


def state_of(name: str, order: GcpOrder, key_path: Path, image: str) -> Mapping[str, Any]:
    """Return the state from which CloudyPad's `deploy` creates the machine.

    CloudyPad has no option for the image. The data is on the root disk, because a second disk would have to be
    formatted by the set-up that the image saves.
    """
    autostop: dict[str, Any] = {"enable": order.autostop_seconds is not None}
    if order.autostop_seconds is not None:
        autostop["timeoutSeconds"] = order.autostop_seconds
    return {
        "version": "1",
        "name": name,
        "events": [],
        "provision": {
            "provider": "gcp",
            "input": {
                "ssh": {"user": _SSH_USER, "privateKeyPath": str(key_path)},
                "deleteInstanceServerOnStop": False,
                "runtime": {"instanceServerState": "present", "dataDiskState": "live"},
                "imageId": image,
                "projectId": order.project_id,
                "region": order.region,
                "zone": order.zone,
                "machineType": order.machine_type,
                "acceleratorType": order.gpu_type,
                "diskSize": order.disk_gb + order.data_disk_gb,
                "dataDiskSizeGb": 0,
                "publicIpType": "static",
                "diskType": order.disk_type,
                "networkTier": order.network_tier,
                "nicType": order.nic_type,
                "useSpot": order.spot,
                "costAlert": None,
            },
        },
        "configuration": {
            "configurator": "ansible",
            "input": {"autostop": autostop, "sunshine": None, "wolf": {"enable": True}},
        },
    }
