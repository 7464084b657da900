"""`systemctl` and `journalctl`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from simulator.machines.programs.call import Call, Program, UsageError
from simulator.machines.systemd.manager import NoSuchUnitError

INACTIVE, NOT_LOADED = 3, 4
VALUED = {"-p": "--property", "--property": "--property", "-n": "--lines", "-t": "--type", "--state": "--state"}


async def systemctl(call: Call) -> int:
    flags, words = _flags_and_words(list(call.arguments))
    verb, names = (words[0], [_full(name) for name in words[1:]]) if words else ("list-units", [])
    if verb in CHANGES and call.user.uid != 0:
        return call.complain(f"Failed to {verb} unit: Interactive authentication required.")
    if verb in ("poweroff", "reboot", "halt"):
        (call.machine.reboot if verb == "reboot" else call.machine.shut_down)()
        return 0
    action = CHANGES.get(verb) or QUESTIONS.get(verb)
    if not action:
        raise UsageError(f"Unknown command verb '{verb}'.")
    status = 0
    for name in names or [""]:
        try:
            status = await action(call, name, flags) or status
        except NoSuchUnitError:
            status = _no_such_unit(call, verb, name)
    return status


async def journalctl(call: Call) -> int:
    found, _ = call.options("u:n:xefrb:o:", ["unit=", "no-pager", "lines=", "since=", "output=", "follow"])
    unit = _full(found.get("-u") or found.get("--unit") or "")
    lines = call.machine.journal.lines(unit)
    amount = int(found.get("-n") or found.get("--lines") or len(lines) or 1)
    for line in lines[-amount:] or ["-- No entries --"]:
        call.say(line)
    return 0


async def _start(call: Call, name: str, _: list[str]) -> int:
    return _job(call, name) if not await call.machine.systemd.start(name) else 0


async def _stop(call: Call, name: str, _: list[str]) -> int:
    await call.machine.systemd.stop(name)
    return 0


async def _restart(call: Call, name: str, _: list[str]) -> int:
    return _job(call, name) if not await call.machine.systemd.restart(name) else 0


async def _try_restart(call: Call, name: str, flags: list[str]) -> int:
    return await _restart(call, name, flags) if call.machine.systemd.state(name) == "active" else 0


async def _enable(call: Call, name: str, flags: list[str]) -> int:
    for link in call.machine.systemd.enable(name):
        call.streams.stderr.write(f"Created symlink {link} -> {call.machine.systemd.unit(name).path}.\n".encode())
    return await _start(call, name, flags) if "--now" in flags else 0


async def _disable(call: Call, name: str, flags: list[str]) -> int:
    call.machine.systemd.disable(name)
    if "--now" in flags:
        await call.machine.systemd.stop(name)
    return 0


async def _reload(call: Call, _: str, __: list[str]) -> int:
    call.machine.systemd.reload()
    return 0


async def _reset_failed(call: Call, _: str, __: list[str]) -> int:
    call.machine.systemd.reset_failed()
    return 0


async def _kill(call: Call, name: str, _: list[str]) -> int:
    await call.machine.systemd.stop(name)
    return 0


async def _is_active(call: Call, name: str, flags: list[str]) -> int:
    state = call.machine.systemd.state(name)
    if not {"-q", "--quiet"} & set(flags):
        call.say(state)
    return 0 if state == "active" else INACTIVE


async def _is_failed(call: Call, name: str, flags: list[str]) -> int:
    state = call.machine.systemd.state(name)
    if not {"-q", "--quiet"} & set(flags):
        call.say(state)
    return 0 if state == "failed" else 1


async def _is_enabled(call: Call, name: str, flags: list[str]) -> int:
    enabled = call.machine.systemd.is_enabled(name)
    if not enabled:
        call.machine.systemd.unit(name)
    if not {"-q", "--quiet"} & set(flags):
        call.say("enabled" if enabled else "disabled")
    return 0 if enabled else 1


async def _status(call: Call, name: str, _: list[str]) -> int:
    systemd = call.machine.systemd
    if not name:
        call.say("State: running")
        return 0
    state = systemd.state(name)
    service = systemd.service(name)
    if state != "active" and not service and not systemd.has(name):
        call.streams.stderr.write(f"Unit {name} could not be found.\n".encode())
        return NOT_LOADED
    detail = f"{service.sub_state}" if service else "waiting"
    call.say(f"* {name}\n     Loaded: loaded\n     Active: {state} ({detail})")
    for line in call.machine.journal.lines(name)[-10:]:
        call.say(line)
    return 0 if state == "active" else INACTIVE


async def _show(call: Call, name: str, flags: list[str]) -> int:
    systemd = call.machine.systemd
    service = systemd.service(name)
    facts = {
        "Id": name,
        "LoadState": "loaded" if systemd.has(name) or systemd.state(name) == "active" else "not-found",
        "ActiveState": systemd.state(name),
        "SubState": service.sub_state if service else "waiting" if name in systemd.timers() else "dead",
        "Result": service.result if service else "success",
        "ExecMainStatus": str(service.status) if service else "0",
    }
    only_values = "--value" in flags
    wanted = [one for flag in flags if flag.startswith(("--property=", "-p")) for one in _names_in(flag)]
    for key, value in facts.items():
        if not wanted or key in wanted:
            call.say(value if only_values else f"{key}={value}")
    return 0


async def _list_units(call: Call, _: str, __: list[str]) -> int:
    for name in call.machine.systemd.timers():
        call.say(f"{name} loaded active waiting")
    return 0


async def _cat(call: Call, name: str, _: list[str]) -> int:
    call.say(call.machine.root_files.read_text(call.machine.systemd.unit(name).path))
    return 0


Action = Callable[[Call, str, list[str]], Awaitable[int]]
CHANGES: Mapping[str, Action] = {
    "start": _start,
    "stop": _stop,
    "restart": _restart,
    "reload-or-restart": _restart,
    "try-restart": _try_restart,
    "enable": _enable,
    "disable": _disable,
    "daemon-reload": _reload,
    "reset-failed": _reset_failed,
    "kill": _kill,
    "mask": _disable,
    "unmask": _reload,
    "poweroff": _reload,
    "halt": _reload,
    "reboot": _reload,
}
QUESTIONS: Mapping[str, Action] = {
    "is-active": _is_active,
    "is-failed": _is_failed,
    "is-enabled": _is_enabled,
    "is-system-running": _status,
    "status": _status,
    "show": _show,
    "list-units": _list_units,
    "list-timers": _list_units,
    "list-unit-files": _list_units,
    "cat": _cat,
}


def _full(name: str) -> str:
    return name if not name or "." in name else f"{name}.service"


def _job(call: Call, name: str) -> int:
    service = call.machine.systemd.service(name)
    reason = {
        "exit-code": "the control process exited with error code",
        "timeout": "a timeout was exceeded",
        "resources": "of unavailable resources or another system error",
    }
    why = reason.get(service.result if service else "", "of a failed dependency")
    call.streams.stderr.write(f"Job for {name} failed because {why}.\n".encode())
    call.streams.stderr.write(f'See "systemctl status {name}" and "journalctl -xeu {name}" for details.\n'.encode())
    return 1


def _no_such_unit(call: Call, verb: str, name: str) -> int:
    text = f"Failed to {verb} {name}: Unit {name} not found.\n"
    call.streams.stderr.write(text.encode())
    return NOT_LOADED if verb == "status" else 5


def _flags_and_words(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Flags with their values attached, and the other words."""
    flags: list[str] = []
    words: list[str] = []
    while arguments:
        word = arguments.pop(0)
        if word in VALUED and arguments:
            word = f"{VALUED[word]}={arguments.pop(0)}"
        (flags if word.startswith("-") else words).append(word)
    return flags, words


def _names_in(flag: str) -> list[str]:
    return flag.removeprefix("--property=").removeprefix("-p").split(",")


PROGRAMS: Mapping[str, Program] = {"systemctl": systemctl, "journalctl": journalctl}
