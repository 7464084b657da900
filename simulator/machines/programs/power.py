"""Programs that switch the machine off, and the one that waits until it is fully on."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.machines.programs.call import Call, Program, UsageError

SHUTDOWN_UNIT = "systemd-shutdownd"


async def shutdown(call: Call) -> int:
    """`shutdown [-h|-P|-r] now|+MINUTES`, `shutdown -c`."""
    call.needs_root()
    words = [word for word in call.arguments if not word.startswith("-")]
    flags = {word for word in call.arguments if word.startswith("-")}
    systemd = call.machine.systemd
    if "-c" in flags:
        if systemd.has(f"{SHUTDOWN_UNIT}.timer"):
            await systemd.stop(f"{SHUTDOWN_UNIT}.timer")
        return 0
    end = "reboot" if "-r" in flags else "poweroff"
    when = words[0] if words else "+1"
    if when in ("now", "+0"):
        (call.machine.reboot if end == "reboot" else call.machine.shut_down)()
        return 0
    if not when.lstrip("+").isdigit():
        raise UsageError(f"Failed to parse time specification: {when}")
    if systemd.has(f"{SHUTDOWN_UNIT}.timer"):
        await systemd.stop(f"{SHUTDOWN_UNIT}.timer")
    systemd.start_transient(
        f"{SHUTDOWN_UNIT}.service", f"[Service]\nType=oneshot\nExecStart=/usr/bin/systemctl {end}\n"
    )
    systemd.start_transient(f"{SHUTDOWN_UNIT}.timer", f"[Timer]\nOnActiveSec={when.lstrip('+')}min\n")
    await systemd.start(f"{SHUTDOWN_UNIT}.timer")
    call.streams.stderr.write(
        f"Shutdown scheduled in {when.lstrip('+')} minutes, use 'shutdown -c' to cancel.\n".encode()
    )
    return 0


async def reboot(call: Call) -> int:
    call.needs_root()
    call.machine.reboot()
    return 0


async def poweroff(call: Call) -> int:
    call.needs_root()
    call.machine.shut_down()
    return 0


async def cloud_init(call: Call) -> int:
    """`cloud-init status [--wait]`."""
    if call.arguments[:1] != ("status",):
        raise UsageError("only status is known here", 2)
    init = call.machine.cloud_init
    if "--wait" in call.arguments:
        await init.finished()
    state = "running" if not init.is_done else "error" if init.failed else "done"
    call.say(f"status: {state}")
    return 1 if state == "error" else 0


PROGRAMS: Mapping[str, Program] = {
    "shutdown": shutdown,
    "reboot": reboot,
    "poweroff": poweroff,
    "halt": poweroff,
    "cloud-init": cloud_init,
}
