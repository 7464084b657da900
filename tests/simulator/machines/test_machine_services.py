"""Services, timers and containers of a machine."""

from __future__ import annotations

import asyncio

import pytest

from tests.simulator.machines.box import Box

ONESHOT = """[Service]
Type=oneshot
Environment=WORD=said
EnvironmentFile=-/etc/none
ExecStart=/bin/sh -c "echo ${WORD} >> /root/runs"

[Install]
WantedBy=multi-user.target
"""


async def test_a_unit_runs_when_started_and_again_after_a_boot_once_enabled(box: Box) -> None:
    await _write(box, "/etc/systemd/system/once.service", ONESHOT)

    await box.output("sudo systemctl daemon-reload && sudo systemctl enable --now once.service")
    await box.park.power_off("m-1")
    await box.park.power_on("m-1")
    await box.output("cloud-init status --wait; sleep 1000")

    assert await box.output("sudo cat /root/runs") == "said\nsaid\n"
    assert await box.output("systemctl is-enabled once; systemctl show -p Result,ActiveState --value once") == (
        "enabled\ninactive\nsuccess\n"
    )


async def test_a_unit_that_fails_says_so_and_is_reset(box: Box) -> None:
    await _write(
        box, "/etc/systemd/system/bad.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo no; exit 3'\n"
    )

    started = await box.run("sudo systemctl start bad")
    told = await box.run("systemctl is-failed bad; systemctl show -p ExecMainStatus bad; journalctl -u bad --no-pager")
    reset = await box.run("sudo systemctl reset-failed; systemctl is-active bad")

    assert started.status == 1
    assert "Job for bad.service failed because the control process exited with error code." in started.stderr
    assert told.stdout == "failed\nExecMainStatus=3\nno\n"
    assert reset.stdout == "inactive\n"


async def test_a_changed_unit_counts_after_a_reload(box: Box) -> None:
    await _write(box, "/etc/systemd/system/x.service", "[Service]\nType=oneshot\nExecStart=/bin/echo old\n")
    await box.output("sudo systemctl start x")
    await _write(box, "/etc/systemd/system/x.service", "[Service]\nType=oneshot\nExecStart=/bin/echo new\n")

    await box.output("sudo systemctl start x; sudo systemctl daemon-reload; sudo systemctl start x")

    assert await box.output("journalctl -u x") == "old\nold\nnew\n"


async def test_a_simple_service_runs_until_it_is_stopped_and_then_its_stop_command(box: Box) -> None:
    text = "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sh -c 'echo stopped > /root/note'\n"
    await _write(box, "/etc/systemd/system/long.service", text.replace("infinity", "100000"))

    running = await box.output("sudo systemctl start long; systemctl is-active long")
    stopped = await box.run("sudo systemctl stop long; systemctl is-active long; sudo cat /root/note")

    assert running == "active\n"
    assert stopped.stdout == "inactive\nstopped\n"


async def test_a_timer_runs_its_service_again_and_again(box: Box) -> None:
    await _write(box, "/etc/systemd/system/once.service", ONESHOT)
    await _write(box, "/etc/systemd/system/once.timer", "[Timer]\nOnActiveSec=10\nOnUnitActiveSec=2min\n")

    await box.output("sudo systemctl start once.timer; sleep 2000")

    assert len((await box.output("sudo cat /root/runs")).splitlines()) >= 3


async def test_a_dead_mans_timer_can_be_put_off_and_strikes_in_the_end(box: Box) -> None:
    told = asyncio.get_running_loop().create_future()
    box.park.on_power_off = told.set_result
    order = "sudo systemd-run --on-active={} --unit=dead-man /sbin/shutdown -h now"

    first = await box.run(order.format("60min"))
    twice = await box.run(order.format("60min"))
    await box.output("sudo systemctl stop dead-man.timer; sleep 4000; hostname")
    assert not told.done()
    await box.run(order.format("30"))

    assert await asyncio.wait_for(told, 5) == "m-1"
    assert first.stderr == "Running timer as unit: dead-man.timer\nWill run service as unit: dead-man.service\n"
    assert (twice.status, twice.stdout) == (1, "")


async def test_services_are_stopped_in_order_before_a_shutdown(box: Box) -> None:
    text = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
    text += "ExecStop=/bin/sh -c 'echo final >> /root/log'\n"
    await _write(box, "/etc/systemd/system/saves-final.service", text)
    off = asyncio.get_running_loop().create_future()
    box.park.on_power_off = off.set_result

    await box.run("sudo systemctl start saves-final; sudo shutdown -h now")
    await asyncio.wait_for(off, 5)

    assert (box.root / "root/log").read_text() == "final\n"


async def test_an_unknown_unit_is_not_found(box: Box) -> None:
    said = await box.run("sudo systemctl start none")

    assert (said.status, said.stderr) == (5, "Failed to start none.service: Unit none.service not found.\n")


@pytest.mark.parametrize("verb", ["start x", "daemon-reload", "enable x"])
async def test_only_root_changes_services(box: Box, verb: str) -> None:
    said = await box.run(f"systemctl {verb}")

    assert said.status == 1
    assert "authentication required" in said.stderr


async def test_containers_live_as_docker_says(box: Box) -> None:
    await box.output("sudo apt-get install -y docker-ce docker-compose-plugin")
    compose = "services:\n  web:\n    image: example/web:1\n    container_name: web\n    restart: unless-stopped\n"
    await box.output("mkdir app; cat > app/compose.yml", compose.encode())

    await box.output("cd app && sudo docker compose up -d")
    up = await box.output("sudo docker ps --format '{{.Names}} {{.State}}'; sudo docker images")
    await box.output("sudo docker stop web")
    down = await box.output("sudo docker ps -q; sudo docker inspect -f '{{.State.Running}} {{.State.Status}}' web")
    await box.output("sudo docker start web; sudo docker compose --project-directory app down")

    assert up == "web running\nexample/web:1\n"
    assert down == "false exited\n"
    assert (await box.run("sudo docker inspect web")).status == 1


async def test_the_docker_socket_is_for_root_and_its_group(box: Box) -> None:
    await box.output("sudo apt-get install -y docker-ce")

    before = await box.run("docker ps")
    await box.output("sudo usermod -aG docker user")
    after = await box.run("docker ps -q")

    assert (before.status, after.status) == (1, 0)
    assert "permission denied" in before.stderr


async def _write(box: Box, path: str, text: str) -> None:
    await box.output(f"sudo tee {path} >/dev/null", text.encode())
