"""`systemctl` and `journalctl`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulator.machines.programs.call import Call, Program
from simulator.machines.systemd.manager import NoSuchUnitError

INACTIVE, NO_SUCH_UNIT = 3, 5
POWER = ("poweroff", "reboot")
CHANGES = ("start", "stop", "restart", "enable", "daemon-reload", *POWER)
REASONS = {
    "exit-code": "the control process exited with error code",
    "timeout": "a timeout was exceeded",
    "resources": "of unavailable resources or another system error",
}


async def systemctl(call: Call) -> int:
    """`systemctl VERB [UNIT]`."""
    _, words = call.options("")
    verb, names = words[0] if words else "", words[1:]
    if verb not in (*CHANGES, "is-active") or len(names) != (verb not in (*POWER, "daemon-reload")):
        raise call.not_simulated(" ".join(call.arguments))
    if verb in CHANGES and call.user.uid != 0:
        return call.say_error(f"Failed to {verb} unit: Interactive authentication required.")
    unit = _full_name(names[0]) if names else ""
    try:
        return await _act(call, verb, unit)
    except NoSuchUnitError:
        return call.say_error(f"Failed to {verb} {unit}: Unit {unit} not found.", NO_SUCH_UNIT)


async def _act(call: Call, verb: str, unit: str) -> int:
    systemd = call.machine.systemd
    match verb:
        case "start" | "restart":
            started = await (systemd.start(unit) if verb == "start" else systemd.restart(unit))
            return 0 if started else _report_failure(call, unit)
        case "stop":
            await systemd.stop(unit)
        case "enable":
            for link in systemd.enable(unit):
                call.say_error(f"Created symlink {link} -> {systemd.unit(unit).path}.")
        case "daemon-reload":
            systemd.reload()
        case "is-active":
            call.say(systemd.state(unit))
            return 0 if systemd.state(unit) == "active" else INACTIVE
        case _:
            (call.machine.reboot if verb == "reboot" else call.machine.shut_down)()
    return 0


async def journalctl(call: Call) -> int:
    """`journalctl -u UNIT [-n LINES] [--no-pager] [-o cat]`."""
    found, names = call.options("u:n:o:", ["no-pager"])
    if names or "-u" not in found or found.get("-o", "cat") != "cat":
        raise call.not_simulated(" ".join(call.arguments))
    lines: Sequence[str] = call.machine.journal.lines(_full_name(found["-u"]))
    for line in lines[-int(found.get("-n") or len(lines) or 1) :] or ["-- No entries --"]:
        call.say(line)
    return 0


def _full_name(name: str) -> str:
    return name if "." in name else f"{name}.service"


def _report_failure(call: Call, unit: str) -> int:
    service = call.machine.systemd.service(unit)
    reason = REASONS.get(service.result if service else "", "of a failed dependency")
    call.say_error(f"Job for {unit} failed because {reason}.")
    return call.say_error(f'See "systemctl status {unit}" and "journalctl -xeu {unit}" for details.')


PROGRAMS: Mapping[str, Program] = {"systemctl": systemctl, "journalctl": journalctl}
