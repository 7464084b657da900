"""Services, timers and containers of a machine."""

from __future__ import annotations

import asyncio

import pytest

from simulator.machines.container import Container
from tests.simulator.machines.box import Box

ONESHOT = """[Unit]
Description=Makes a folder, and fails when it is there

[Service]
Type=oneshot
ExecStartPre=-/usr/bin/rm -r /root/none
ExecStart=/bin/mkdir /root/made

[Install]
WantedBy=multi-user.target
"""
AGAIN = "[Service]\nType=oneshot\nExecStart=/bin/touch /root/made\n"


async def test_a_unit_runs_when_started_and_again_after_a_boot_once_enabled(box: Box) -> None:
    box.write("/etc/systemd/system/once.service", ONESHOT)
    await box.output("sudo systemctl daemon-reload")
    await box.output("sudo systemctl enable once.service")
    await box.output("sudo systemctl start once.service")
    box.machine.root_files.remove("/root/made")

    await box.park.power_off("m-1")
    await box.park.power_on("m-1")
    while not box.machine.root_files.is_dir("/root/made"):
        await box.machine.clock.sleep(1)

    assert (await box.run("systemctl is-active once")).stdout == "inactive\n"


async def test_a_unit_that_fails_says_so(box: Box) -> None:
    box.write("/etc/systemd/system/once.service", ONESHOT)
    await box.output("sudo systemctl start once")

    started = await box.run("sudo systemctl start once")
    journal = await box.output("journalctl -u once -n 1 --no-pager -o cat")
    active = await box.run("systemctl is-active once")

    assert started.status == 1
    assert "Job for once.service failed because the control process exited with error code." in started.stderr
    assert journal == "mkdir: cannot create directory '/root/made': File exists\n"
    assert (active.status, active.stdout) == (3, "failed\n")


async def test_a_changed_unit_counts_after_a_reload(box: Box) -> None:
    box.write("/etc/systemd/system/x.service", "[Service]\nType=oneshot\nExecStart=/bin/touch /root/old\n")
    await box.output("sudo systemctl start x")
    box.write("/etc/systemd/system/x.service", "[Service]\nType=oneshot\nExecStart=/bin/touch /root/new\n")

    await box.output("sudo systemctl start x")
    before = box.machine.root_files.listdir("/root")
    await box.output("sudo systemctl daemon-reload")
    await box.output("sudo systemctl start x")

    assert (before, box.machine.root_files.listdir("/root")) == (["old"], ["new", "old"])


async def test_what_a_unit_says_that_is_not_simulated_is_reported(box: Box) -> None:
    box.write("/etc/systemd/system/x.service", "[Service]\nType=dbus\nExecStart=/bin/true\n")
    box.write("/etc/systemd/system/y.service", "[Service]\nExecStart=/bin/true\nExecReload=/bin/true\n")

    said = [await box.run(f"sudo systemctl start {name}") for name in ("x", "y")]

    assert [one.status for one in said] == [127, 127]
    assert [one.stderr for one in said] == [
        "not simulated: x.service: Type=dbus\n",
        "not simulated: y.service: ExecReload=/bin/true\n",
    ]


async def test_a_simple_service_runs_until_it_is_stopped_and_then_its_stop_command(box: Box) -> None:
    text = "[Service]\nExecStart=/usr/local/bin/autostop.sh\nExecStop=/bin/touch /root/stopped\n"
    box.install_long_program()
    box.write("/etc/systemd/system/long.service", text)

    await box.output("sudo systemctl start long")
    running = await box.output("systemctl is-active long")
    await box.output("sudo systemctl stop long")
    stopped = await box.run("systemctl is-active long")

    assert (running, stopped.stdout) == ("active\n", "inactive\n")
    assert box.machine.root_files.is_file("/root/stopped")


async def test_a_timer_runs_its_service_again_and_again(box: Box) -> None:
    box.write("/etc/systemd/system/again.service", AGAIN)
    box.write("/etc/systemd/system/again.timer", "[Timer]\nOnActiveSec=10\nOnUnitActiveSec=2min\n")
    await box.output("sudo systemctl start again.timer")

    for _ in range(3):
        while not box.machine.root_files.exists("/root/made"):
            await box.machine.clock.sleep(10)
        box.machine.root_files.remove("/root/made")


async def test_a_timer_strikes_in_the_end_unless_it_is_stopped(box: Box) -> None:
    off = asyncio.get_running_loop().create_future()
    box.park.on_power_off = off.set_result
    box.write(
        "/etc/systemd/system/dead-man.service", "[Service]\nType=oneshot\nExecStart=/usr/bin/systemctl poweroff\n"
    )
    box.write("/etc/systemd/system/dead-man.timer", "[Timer]\nOnActiveSec=60min\n")

    await box.output("sudo systemctl start dead-man.timer")
    await box.output("sudo systemctl stop dead-man.timer")
    await box.machine.clock.sleep(4000)
    assert not off.done()
    await box.output("sudo systemctl start dead-man.timer")

    assert await asyncio.wait_for(off, 5) == "m-1"


async def test_services_are_stopped_in_order_before_a_shutdown(box: Box) -> None:
    text = "[Service]\nExecStart=/usr/local/bin/autostop.sh\nExecStop=/bin/touch /root/final\n"
    box.install_long_program()
    box.write("/etc/systemd/system/saves-final.service", text)
    await box.output("sudo systemctl start saves-final")

    await box.machine.shut_down()

    assert (box.root / "root/final").is_file()


async def test_an_unknown_unit_is_not_found(box: Box) -> None:
    said = await box.run("sudo systemctl start none")

    assert (said.status, said.stderr) == (5, "Failed to start none.service: Unit none.service not found.\n")


@pytest.mark.parametrize("verb", ["start x", "daemon-reload", "enable x"])
async def test_only_root_changes_services(box: Box, verb: str) -> None:
    said = await box.run(f"systemctl {verb}")

    assert said.status == 1
    assert "authentication required" in said.stderr


async def test_containers_live_as_docker_says(box: Box) -> None:
    await box.machine.packages.install(["docker-ce"])
    await box.machine.containers.create(Container("web", "example/web:1", restart="unless-stopped"))
    await box.machine.containers.start("web")

    up = await box.output("sudo docker ps --format '{{.Names}} {{.State}}'")
    await box.output("sudo docker stop -t 1 web")
    down = await box.output("sudo docker ps --filter status=running --format '{{.Names}}'")
    await box.output("sudo docker restart web")
    again = await box.output("sudo docker ps --format '{{.Names}}'")

    assert (up, down, again) == ("web running\n", "", "web\n")
    assert box.machine.containers.images.has("example/web:1")


async def test_the_docker_socket_is_for_root(box: Box) -> None:
    await box.machine.packages.install(["docker-ce"])

    said = await box.run("docker ps --format '{{.Names}}'")

    assert said.status == 1
    assert "permission denied" in said.stderr
