"""The simulated nft, asked as a real one is."""

from __future__ import annotations

import json

from tests.simulator.machines.box import Box

RULES = b"""\
add table inet t
delete table inet t
table inet t {
  counter control { }
  chain arriving {
    type filter hook prerouting priority -300; policy accept;
    udp dport 47999 counter name "control"
  }
}
"""


async def installed(box: Box) -> Box:
    await box.output("sudo nft -f -", RULES)
    return box


async def listed(box: Box) -> dict[str, dict[str, object]]:
    objects = json.loads(await box.output("sudo nft -j list table inet t"))["nftables"]
    return {kind: value for each in objects for kind, value in each.items()}


async def test_a_counter_counts_what_arrives_after_it_was_created(box: Box) -> None:
    traffic = box.park.machine("m-1").traffic
    traffic.add(47999)
    await installed(box)
    traffic.add(47999)
    traffic.add(48000)

    found = await listed(box)

    assert (found["counter"]["name"], found["counter"]["packets"]) == ("control", 1)
    assert found["chain"]["hook"] == "prerouting"
    assert found["rule"]["expr"] == [
        {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 47999}},
        {"counter": "control"},
    ]


async def test_a_table_that_is_replaced_has_another_handle_and_counts_from_zero(box: Box) -> None:
    await installed(box)
    box.park.machine("m-1").traffic.add(47999)
    before = await listed(box)
    await box.output("sudo nft -f -", RULES)

    after = await listed(box)

    assert (before["counter"]["packets"], after["counter"]["packets"]) == (1, 0)
    assert before["table"]["handle"] != after["table"]["handle"]


async def test_what_fails_changes_nothing_and_a_lost_table_is_reported(box: Box) -> None:
    await installed(box)

    wrong = await box.run("sudo nft -f -", b"delete table inet t\ndelete table inet t\n")
    still = await listed(box)
    box.machine.firewall.forget()
    gone = await box.run("sudo nft -j list table inet t")

    assert (wrong.status, "table" in still) == (1, True)
    assert (gone.status, "No such file or directory" in gone.stderr) == (1, True)


async def test_only_root_may_ask(box: Box) -> None:
    await installed(box)

    assert (await box.run("nft -j list table inet t")).status != 0


async def test_nothing_is_left_of_it_after_a_reboot(box: Box) -> None:
    await installed(box)
    await box.park.power_off("m-1")
    await box.park.power_on("m-1")

    assert (await box.run("sudo nft -j list table inet t")).status == 1
