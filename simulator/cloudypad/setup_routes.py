"""`<control>/cloudypad/tasks`: the playbook's way to the machine that it sets up."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from simulator.addresses import SSH
from simulator.cloudypad.setup import MachineSetup, SetupFailedError, run_task
from simulator.machines.machine import Machine
from simulator.machines.pool import MachinePark
from simulator.machines.ssh_server import SSH_REFUSED

REBOOT = "reboot"


class SetupRoutes:
    """Routes that answer `{"changed": ...}`, or status 409 with the `error` of a task that failed."""

    def __init__(self, park: MachinePark) -> None:
        self._park = park

    def add_routes(self, router: web.UrlDispatcher, base: str) -> None:
        router.add_post(f"{base}/cloudypad/tasks", self._run)

    async def _run(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        try:
            machine = self._machine(str(body["host"]), int(body["ssh_port"]))
            return web.json_response({"changed": await _run_task(machine, body)})
        except SetupFailedError as error:
            return web.json_response({"error": str(error)}, status=409)

    def _machine(self, host: str, ssh_port: int) -> Machine:
        for machine_id in self._park.machines():
            machine = self._park.machine(machine_id)
            is_it = (machine.address.ip, machine.address.port(SSH)) == (host, ssh_port)
            if is_it and machine.is_on and SSH_REFUSED not in machine.faults:
                return machine
        raise SetupFailedError(f"Failed to connect to the host via ssh: connect to host {host} port {ssh_port}")


async def _run_task(machine: Machine, body: dict[str, Any]) -> bool:
    """Run a task for as long as the machine is on. A task that the end of the machine cuts has failed."""
    if body["task"] == REBOOT:
        task: asyncio.Task[Any] = machine.reboot()
    else:
        task = machine.in_background(run_task(MachineSetup(machine, str(body["user"])), str(body["task"]), body))
    await asyncio.wait({task})
    if task.cancelled():
        raise SetupFailedError("the connection was lost")
    return task.result() is not False
