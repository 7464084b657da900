"""Programs that answer for the machine as a whole: first boot, packages, clock."""

from __future__ import annotations

import time
from collections.abc import Mapping

from simulator.machines.packages import VERSIONS, PackageError
from simulator.machines.programs.call import Call, Program

APT_FAILED = 100
LOCK_MESSAGE = "Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)"


async def true(_: Call) -> int:
    return 0


async def date(call: Call) -> int:
    """`date +%s`."""
    if call.arguments != ("+%s",):
        raise call.not_simulated(" ".join(call.arguments))
    call.say(str(int(time.time())))
    return 0


async def cloud_init(call: Call) -> int:
    """`cloud-init status --wait`."""
    if call.arguments != ("status", "--wait"):
        raise call.not_simulated(" ".join(call.arguments))
    await call.machine.cloud_init.wait_until_done()
    call.say(f"status: {'error' if call.machine.cloud_init.failed else 'done'}")
    return 1 if call.machine.cloud_init.failed else 0


async def apt_get(call: Call) -> int:
    """`apt-get update` and `apt-get install -y [--no-install-recommends] PACKAGE...`."""
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


PROGRAMS: Mapping[str, Program] = {"true": true, "date": date, "cloud-init": cloud_init, "apt-get": apt_get}
