"""Programs that answer for the machine as a whole: services, first boot, packages, mounts, packets, clock."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

from simulator.machines.firewall import FirewallError
from simulator.machines.packages import VERSIONS, PackageError
from simulator.machines.programs.call import Call, Program
from simulator.machines.systemd.manager import NoSuchUnitError

APT_FAILED = 100
LOCK_MESSAGE = "Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)"
INACTIVE, NO_SUCH_UNIT = 3, 5
POWER = ("poweroff", "reboot")
KILLED = ("kill", "--signal=HUP", "systemd-logind.service")
CHANGES = ("start", "stop", "restart", "enable", "daemon-reload", *POWER)
REASONS = {
    "exit-code": "the control process exited with error code",
    "timeout": "a timeout was exceeded",
    "resources": "of unavailable resources or another system error",
}


async def systemctl(call: Call) -> int:
    """Run `systemctl VERB [UNIT]`, and `systemctl kill --signal=HUP systemd-logind.service`."""
    if call.arguments == KILLED and call.user.uid == 0:
        call.machine.shutdown_delay.reload()
        return 0
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
    """Run `journalctl -u UNIT [-n LINES] [--no-pager] [-o cat]`."""
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


async def true(_: Call) -> int:
    return 0


async def date(call: Call) -> int:
    """Run `date +%s`."""
    if call.arguments != ("+%s",):
        raise call.not_simulated(" ".join(call.arguments))
    call.say(str(int(time.time())))
    return 0


async def cloud_init(call: Call) -> int:
    """Run `cloud-init status --wait`."""
    if call.arguments != ("status", "--wait"):
        raise call.not_simulated(" ".join(call.arguments))
    await call.machine.cloud_init.wait_until_done()
    call.say(f"status: {'error' if call.machine.cloud_init.failed else 'done'}")
    return 1 if call.machine.cloud_init.failed else 0


async def apt_get(call: Call) -> int:
    """Run `apt-get update` and `apt-get install -y [--no-install-recommends] PACKAGE...`."""
    _, words = call.options("yo:", ["no-install-recommends"])
    verb, names = words[0] if words else "", words[1:]
    if verb not in ("update", "install"):
        raise call.not_simulated(" ".join(call.arguments))
    if call.user.uid != 0:
        return call.say_error(f"E: {LOCK_MESSAGE}\nE: are you root?", APT_FAILED)
    if verb == "update":
        await call.machine.packages.update()
        call.say("Hit:1 http://archive.ubuntu.com/ubuntu noble InRelease\nReading package lists...")
        return 0
    try:
        added = await call.machine.packages.install(names)
    except PackageError as error:
        return call.say_error(str(error), APT_FAILED)
    for name in added:
        call.say(f"Setting up {name} ({VERSIONS[name]}) ...")
    call.say(f"0 upgraded, {len(added)} newly installed, 0 to remove and 0 not upgraded.")
    return 0


async def findmnt(call: Call) -> int:
    """Run `findmnt -n -o COLUMN,... POINT`, or with `-T` for the mount that a path lies on."""
    found, names = call.options("no:T:")
    if not {"-n", "-o"} <= found.keys() or len(names) != (0 if "-T" in found else 1):
        raise call.not_simulated(" ".join(call.arguments))
    path = call.files.tree.resolve(call.path(found.get("-T") or names[0]))
    mounts = call.machine.mounts
    mount = mounts.holding(path) if "-T" in found and call.files.exists(path) else mounts.at(path)
    if mount is None:
        return 1
    columns = {"TARGET": mount.point, "SOURCE": mount.source, "FSTYPE": mount.fstype, "OPTIONS": mount.options}
    columns["PROPAGATION"] = "shared"  # systemd makes all mounts so at the boot
    wanted = found["-o"].split(",")
    if not columns.keys() >= set(wanted):
        raise call.not_simulated(f"columns {found['-o']}")
    call.say(" ".join(columns[column] for column in wanted))
    return 0


async def fusermount3(call: Call) -> int:
    """Run `fusermount3 -V` and `fusermount3 -u [-z] POINT`."""
    found, names = call.options("uzV")
    if "-V" in found:
        call.say("fusermount3 version: 3.14.0")
        return 0
    if "-u" not in found or len(names) != 1:
        raise call.not_simulated(" ".join(call.arguments))
    point = call.files.tree.resolve(call.path(names[0]))
    if point == "/" or not call.machine.mounts.at(point):
        return call.complain(f"entry for {names[0]} not found in /etc/mtab")
    call.machine.mounts.unmount(point)
    return 0


async def nft(call: Call) -> int:
    """Run `nft --version`, `nft -f -` and `nft -j list table FAMILY NAME`."""
    found, words = call.options("jf:", ["version"])
    if "--version" in found:
        call.say("nftables v1.0.9 (Old Doc Yak #3)")
        return 0
    listing = "-j" in found and words[:2] == ["list", "table"] and len(words) == 4
    if found.get("-f") != "-" and not listing:
        raise call.not_simulated(" ".join(call.arguments))
    if call.user.uid != 0:
        return call.complain("Permission denied (are you root?)")
    try:
        if listing:
            call.say(json.dumps(call.machine.firewall.listed(*words[2:])))
        else:
            call.machine.firewall.run((await call.stdin.read()).decode(errors="replace"))
    except FirewallError as error:
        return call.say_error(str(error))
    return 0


PROGRAMS: Mapping[str, Program] = {
    **{"systemctl": systemctl, "journalctl": journalctl, "cloud-init": cloud_init, "apt-get": apt_get},
    **{"true": true, "date": date, "findmnt": findmnt, "fusermount3": fusermount3, "nft": nft},
}
