"""Machines as their cloud and their strangers see them: addresses, keys, power, restarts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncssh
import pytest

from simulator.clock import Clock
from simulator.machines.pool import MachinePark, UnknownMachineError
from tests.simulator.machines.box import Box


async def test_the_real_port_numbers_work_on_the_machines_own_address(box: Box) -> None:
    if os.geteuid() != 0:
        pytest.skip(f"port 22 belongs to root: sudo .venv/bin/pytest {__file__}")

    assert box.address.ip.startswith("127.77.")
    assert box.address.ports == {}


async def test_without_port_22_its_ssh_port_is_told(tmp_path: Path, key: asyncssh.SSHKey) -> None:
    park = MachinePark(tmp_path, Clock(1000), privileged_ports=False)
    address = await park.create("m-1", user="user", authorized_keys=[key.export_public_key().decode()], cloud_init={})
    await park.power_on("m-1")

    said = await Box(park, "m-1", key, tmp_path).output("cat /etc/hostname")

    assert list(address.ports) == [22]
    assert address.ports[22] > 1023
    assert said == "m-1\n"
    await park.close()


async def test_where_there_is_one_address_each_machine_has_ports_of_its_own(
    tmp_path: Path, key: asyncssh.SSHKey
) -> None:
    park = MachinePark(tmp_path, Clock(1000), own_addresses=False)
    public = key.export_public_key().decode()
    first, second = [
        await park.create(name, user="user", authorized_keys=[public], cloud_init=None) for name in ("m-1", "m-2")
    ]
    for name in ("m-1", "m-2"):
        await park.power_on(name)

    assert first.ip == second.ip == "127.0.0.1"
    assert set(first.ports) == set(second.ports) == {22, 47984, 47989, 48010}
    assert not set(first.ports.values()) & set(second.ports.values())
    assert await Box(park, "m-2", key, tmp_path).output("cat /etc/hostname") == "m-2\n"
    await park.close()


async def test_two_machines_have_two_addresses(park: MachinePark) -> None:
    first = await park.create("m-1", user="user", authorized_keys=[], cloud_init=None)
    second = await park.create("m-2", user="user", authorized_keys=[], cloud_init=None)

    assert first.ip != second.ip


async def test_a_machine_found_again_has_its_address_its_disk_and_its_host_key(box: Box, tmp_path: Path) -> None:
    address = box.address
    async with await box.connect() as connection:
        host_key = connection.get_server_host_key()
    box.write("/home/user/note", "kept\n")
    await box.park.close()

    park = MachinePark(tmp_path, Clock(1000))
    await park.restore()
    again = Box(park, "m-1", box.key, tmp_path)
    with pytest.raises(ConnectionRefusedError):
        await again.connect()
    await park.power_on("m-1")

    assert again.address == address
    assert await again.output("cat note") == "kept\n"
    async with await again.connect() as connection:
        assert connection.get_server_host_key() == host_key
    await park.close()


async def test_another_key_and_another_user_are_let_in_nowhere(box: Box) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await box.connect(key=asyncssh.generate_private_key("ssh-ed25519"))
    with pytest.raises(asyncssh.PermissionDenied):
        await box.connect(user="root")
    with pytest.raises(asyncssh.PermissionDenied):
        await box.connect(user="../user")


async def test_a_machine_that_is_off_refuses_and_one_that_is_on_again_answers(box: Box) -> None:
    await box.park.power_off("m-1")
    with pytest.raises(ConnectionRefusedError):
        await box.connect()

    await box.park.power_on("m-1")

    assert await box.output("cat /etc/hostname") == "m-1\n"


async def test_a_power_cut_ends_what_runs(box: Box) -> None:
    async with await box.connect() as connection:
        running = asyncio.create_task(connection.run(box.install_long_program()))
        await asyncio.sleep(0.05)

        await box.park.power_off("m-1")

        ended = await running
    assert ended.exit_status is None or ended.exit_status > 0


async def test_a_destroyed_machine_is_gone_with_its_disk(box: Box) -> None:
    await box.park.destroy("m-1")
    await box.park.destroy("m-1")

    assert not box.root.exists()
    with pytest.raises(UnknownMachineError):
        box.park.address("m-1")


async def test_making_a_machine_twice_makes_it_once(box: Box) -> None:
    box.write("/home/user/note", "kept\n")

    address = await box.park.create("m-1", user="other", authorized_keys=[], cloud_init=None)

    assert address == box.address
    assert await box.output("cat note") == "kept\n"


async def test_an_id_that_would_leave_the_folder_is_refused(park: MachinePark, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not an id"):
        await park.create("../m", user="user", authorized_keys=[], cloud_init=None)

    assert park.machines() == []


@pytest.mark.parametrize("machine_id", ["m-1", None])
async def test_ssh_can_be_made_to_refuse_and_to_answer_again(box: Box, machine_id: str | None) -> None:
    box.park.set_fault(machine_id, "ssh-refused", True)
    await _until(_refuses, box)

    box.park.set_fault(machine_id, "ssh-refused", False)

    await _until(_answers, box)


async def test_cloud_init_is_carried_out_once(park: MachinePark, key: asyncssh.SSHKey, tmp_path: Path) -> None:
    order = {
        "package_update": True,
        "packages": ["fuse3"],
        "runcmd": [["mkdir", "/mnt/games"]],
    }
    await park.create("m-1", user="user", authorized_keys=[key.export_public_key().decode()], cloud_init=order)
    await park.power_on("m-1")
    box = Box(park, "m-1", key, tmp_path)

    waited = await box.output("sudo cloud-init status --wait")
    await park.power_off("m-1")
    await park.power_on("m-1")

    assert waited == "status: done\n"
    # A second `mkdir` would have failed.
    assert await box.output("sudo cloud-init status --wait") == "status: done\n"
    assert (await box.run("fusermount3 -V")).status == 0
    assert (await box.run("test -d /mnt/games")).status == 0


async def test_shutting_down_from_inside_powers_off_and_tells_the_owner(box: Box) -> None:
    told = asyncio.get_running_loop().create_future()
    box.park.on_power_off = told.set_result

    await box.run("sudo systemctl poweroff")

    assert await asyncio.wait_for(told, 5) == "m-1"
    with pytest.raises(ConnectionRefusedError):
        await box.connect()


async def test_a_reboot_is_one_with_another_boot_id_and_a_new_uptime(box: Box) -> None:
    before = await box.output("cat /proc/sys/kernel/random/boot_id")

    await box.run("sudo systemctl reboot")
    await _until(_has_another_boot_id, box, before)

    assert await box.output("cat /etc/hostname") == "m-1\n"


async def _until(holds: Callable[..., Awaitable[bool]], *arguments: object) -> None:
    """Nobody tells a stranger when a port is open again: it tries."""
    async with asyncio.timeout(5):
        while True:
            if await holds(*arguments):
                return
            await asyncio.sleep(0.01)


async def _refuses(box: Box) -> bool:
    return not await _answers(box)


async def _answers(box: Box) -> bool:
    try:
        return (await box.run("true")).status == 0
    except (OSError, asyncssh.Error):
        return False


async def _has_another_boot_id(box: Box, before: str) -> bool:
    try:
        return await box.output("cat /proc/sys/kernel/random/boot_id") != before
    except (OSError, asyncssh.Error, AssertionError):
        return False
