"""`findmnt`, `fusermount3` and `nft`: what the kernel knows of mounts and packets."""

from __future__ import annotations

import json
from collections.abc import Mapping

from simulator.machines.firewall import FirewallError
from simulator.machines.programs.call import Call, Program


async def findmnt(call: Call) -> int:
    """`findmnt -n -o COLUMN,... POINT`, and with `-T` of the mount that a path lies on."""
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
    """`fusermount3 -V` and `fusermount3 -u [-z] POINT`."""
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
    """`nft --version`, `nft -f -` and `nft -j list table FAMILY NAME`."""
    found, words = call.options("jf:", ["version"])
    if "--version" in found:
        call.say("nftables v1.0.9 (Old Doc Yak #3)")
        return 0
    listing = "-j" in found and words[:2] == ["list", "table"] and len(words) == 4
    if found.get("-f") != "-" and not listing:
        raise call.not_simulated(" ".join(call.arguments))
    call.require_root()
    try:
        if listing:
            call.say(json.dumps(call.machine.firewall.listed(*words[2:])))
        else:
            call.machine.firewall.run((await call.stdin.read()).decode(errors="replace"))
    except FirewallError as error:
        return call.say_error(str(error))
    return 0


PROGRAMS: Mapping[str, Program] = {"findmnt": findmnt, "fusermount3": fusermount3, "nft": nft}
