"""Package programs."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.machines.faults import INSTALL_FAILS
from simulator.machines.packages import VERSIONS, Packages
from simulator.machines.programs.call import Call, Program, UsageError

UPDATE_TAKES_S = 2.0
PACKAGE_TAKES_S = 1.5
FAILED = 100
LOCK_MESSAGE = "Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)"


async def apt_get(call: Call) -> int:
    words = [word for word in _without_options(call.arguments) if word]
    verb, packages = (words[0], words[1:]) if words else ("help", [])
    if verb in ("install", "update", "upgrade", "remove", "purge", "dist-upgrade") and call.user.uid != 0:
        call.streams.stderr.write(f"E: {LOCK_MESSAGE}\nE: are you root?\n".encode())
        return FAILED
    match verb:
        case "update":
            return await _update(call)
        case "install":
            return await _install(call, packages)
        case "remove" | "purge":
            for package in packages:
                call.machine.packages.remove(package.partition("=")[0])
            return 0
        case "upgrade" | "dist-upgrade" | "clean" | "autoremove" | "autoclean":
            return 0
    raise UsageError(f"E: Invalid operation {verb}", FAILED)


async def apt_cache(call: Call) -> int:
    for package in call.arguments[1:]:
        if Packages.exists(package):
            version = VERSIONS.get(package, "1")
            installed = version if call.machine.packages.has(package) else "(none)"
            call.say(f"{package}:\n  Installed: {installed}\n  Candidate: {version}\nVersion: {version}")
    return 0


async def dpkg(call: Call) -> int:
    """`dpkg -s PACKAGE...`, `dpkg -l`, `dpkg --print-architecture`."""
    if call.arguments[:1] == ("--print-architecture",):
        call.say("amd64")
        return 0
    status = 0
    if call.arguments[:1] == ("-l",):
        for package in sorted(call.machine.packages.installed()):
            call.say(f"ii  {package}  {VERSIONS.get(package, '1')}  amd64")
        return 0
    for package in call.arguments[1:]:
        if call.machine.packages.has(package):
            call.say(f"Package: {package}\nStatus: install ok installed\nVersion: {VERSIONS.get(package, '1')}")
        else:
            status = call.complain(f"package '{package}' is not installed and no information is available")
    return status


async def dpkg_query(call: Call) -> int:
    """`dpkg-query -W [-f FORMAT] PACKAGE...`."""
    found, packages = call.options("Wf:", ["show", "showformat="])
    form = found.get("-f") or found.get("--showformat") or "${Package}\\t${Version}\\n"
    status = 0
    for package in packages:
        if not call.machine.packages.has(package):
            status = call.complain(f"no packages found matching {package}")
            continue
        line = form.replace("${Package}", package).replace("${Version}", VERSIONS.get(package, "1"))
        line = line.replace("${Status}", "install ok installed").replace("${db:Status-Status}", "installed")
        call.stdout.write(line.replace("\\n", "\n").replace("\\t", "\t").encode())
    return status


async def _update(call: Call) -> int:
    await call.machine.clock.sleep(UPDATE_TAKES_S)
    call.say("Hit:1 http://archive.ubuntu.com/ubuntu noble InRelease\nReading package lists...")
    return 0


async def _install(call: Call, wanted: list[str]) -> int:
    names = [name.partition("=")[0] for name in wanted]
    call.say("Reading package lists...\nBuilding dependency tree...\nReading state information...")
    for name in names:
        if not Packages.exists(name):
            call.streams.stderr.write(f"E: Unable to locate package {name}\n".encode())
            return FAILED
    missing = call.machine.packages.missing(names)
    if missing and INSTALL_FAILS in call.machine.faults:
        await call.machine.clock.sleep(UPDATE_TAKES_S)
        call.streams.stderr.write(
            f"E: Failed to fetch {missing[0]}  Connection failed [IP: 91.189.91.82 80]\n".encode()
        )
        call.streams.stderr.write(b"E: Unable to fetch some archives, maybe run apt-get update?\n")
        return FAILED
    for name in missing:
        await call.machine.clock.sleep(PACKAGE_TAKES_S)
        call.machine.packages.add(name)
        call.say(f"Setting up {name} ({VERSIONS.get(name, '1')}) ...")
    call.say(f"0 upgraded, {len(missing)} newly installed, 0 to remove and 0 not upgraded.")
    return 0


def _without_options(arguments: tuple[str, ...]) -> list[str]:
    words: list[str] = []
    skip = False
    for word in arguments:
        if not skip and not word.startswith("-"):
            words.append(word)
        skip = word in ("-o", "-t", "-c") and not skip
    return words


PROGRAMS: Mapping[str, Program] = {
    "apt-get": apt_get,
    "apt": apt_get,
    "apt-cache": apt_cache,
    "dpkg": dpkg,
    "dpkg-query": dpkg_query,
}
