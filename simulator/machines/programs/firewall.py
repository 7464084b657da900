"""nft, as far as a counter of packets needs it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from simulator.machines.firewall import FirewallError
from simulator.machines.programs.call import Call, Program, UsageError


async def nft(call: Call) -> int:
    found, words = call.options("jf:v", ["json", "file=", "version"])
    if {"-v", "--version"} & found.keys():
        call.say("nftables v1.0.9 (Old Doc Yak #3)")
        return 0
    call.needs_root()
    firewall = call.machine.firewall
    try:
        if name := found.get("-f") or found.get("--file"):
            content = await call.stdin.read() if name == "-" else call.files.read(call.path(name))
            firewall.run(content.decode(errors="replace"))
        elif words[:2] == ["list", "table"] and len(words) == 4 and {"-j", "--json"} & found.keys():
            call.say(json.dumps(firewall.listed(*words[2:])))
        elif words[:1] in (["add"], ["delete"], ["flush"]):
            firewall.run(" ".join(words))
        else:
            raise UsageError("only counters of packets are simulated")
    except FirewallError as error:
        call.streams.stderr.write(f"{error}\n".encode())
        return 1
    return 0


PROGRAMS: Mapping[str, Program] = {"nft": nft}
