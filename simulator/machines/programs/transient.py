"""`systemd-run`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from simulator.machines.programs.call import Call, Program, UsageError
from simulator.machines.shell.streams import Streams
from simulator.machines.systemd.unit import span_s

TIMER_FLAGS = {
    "--on-active": "OnActiveSec",
    "--on-boot": "OnBootSec",
    "--on-unit-active": "OnUnitActiveSec",
    "--on-unit-inactive": "OnUnitInactiveSec",
    "--on-calendar": "OnCalendar",
}


async def systemd_run(call: Call) -> int:
    call.needs_root()
    flags, command = _split(list(call.arguments))
    name = next(
        (value for flag, value in flags if flag in ("--unit", "-u")), f"run-{len(call.machine.systemd.timers())}"
    )
    name = name.removesuffix(".service").removesuffix(".timer")
    schedule = [(TIMER_FLAGS[flag], value) for flag, value in flags if flag in TIMER_FLAGS]
    for _, value in schedule:
        _checked_span(value)
    taken = f"{name}.timer" if schedule else f"{name}.service"
    if call.machine.systemd.has(taken):
        kind = "timer" if schedule else "service"
        return call.complain(f"Failed to start transient {kind} unit: Unit {taken} was already loaded.")
    systemd = call.machine.systemd
    systemd.start_transient(f"{name}.service", _service_text(command, flags))
    if not schedule:
        return await _run_now(call, f"{name}.service", command, flags)
    lines = "".join(f"{key}={value}\n" for key, value in schedule)
    systemd.start_transient(f"{name}.timer", f"[Timer]\n{lines}")
    await systemd.start(f"{name}.timer")
    call.streams.stderr.write(
        f"Running timer as unit: {name}.timer\nWill run service as unit: {name}.service\n".encode()
    )
    return 0


async def _run_now(call: Call, unit: str, command: list[str], flags: list[tuple[str, str]]) -> int:
    names = [flag for flag, _ in flags]
    if "--pipe" in names or "-P" in names:
        return await call.run(command)
    call.streams.stderr.write(f"Running as unit: {unit}\n".encode())
    started = call.machine.systemd.start(unit)
    if "--wait" in names:
        return await call.run(command, streams=Streams(call.stdin, *[call.machine.journal.of(unit)] * 2))
    return 0 if await started else 1


def _split(words: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """The flags with their values, and the command after them."""
    flags: list[tuple[str, str]] = []
    valued = (
        *TIMER_FLAGS,
        "--unit",
        "-u",
        "--property",
        "-p",
        "--description",
        "--timer-property",
        "--uid",
        "--setenv",
        "-E",
    )
    while words and words[0].startswith("-"):
        flag, given, value = words.pop(0).partition("=")
        if flag == "--":
            break
        if flag in valued and not given:
            if not words:
                raise UsageError(f"option '{flag}' requires an argument")
            value = words.pop(0)
        flags.append((flag, value))
    if not words:
        raise UsageError("Command line to execute required.")
    return flags, words


def _checked_span(value: str) -> None:
    try:
        span_s(value)
    except ValueError:
        raise UsageError(f"Failed to parse timer value: {value}") from None


def _service_text(command: list[str], flags: list[tuple[str, str]]) -> str:
    properties = [value for flag, value in flags if flag in ("--property", "-p")]
    properties += [f"Environment={value}" for flag, value in flags if flag in ("--setenv", "-E")]
    return "[Service]\n" + "".join(f"{line}\n" for line in properties) + f"ExecStart={shlex.join(command)}\n"


PROGRAMS: Mapping[str, Program] = {"systemd-run": systemd_run}
