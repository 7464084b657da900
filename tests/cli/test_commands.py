"""Each command against a gateway that executes trusted documents only."""

from __future__ import annotations

import asyncio
import csv
import io
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from rich.console import Console

from cli.gamer_cli.exits import ExitStatus
from cli.gamer_cli.output import print_table
from cli.gamer_cli.progress import STEPS, Bars
from fleet.messages import CommandResult, Pin
from models.api_keys import ApiKey
from models.launches import LaunchStatus
from models.vms import Vm, VmStatus
from schema.execution.executor import GraphQLExecution
from schema.ids import global_id
from tests.billing.exact import an_interval, utc
from tests.cli.conftest import Gamer
from tests.gateway import ANN, BOB, OPERATOR, GatewayWorld, a_launch, a_vm, an_event, listening, web_gateway
from tests.saves_shelf import MONDAY, Shelf, account, shelf
from web.app import create_app
from web.health import Readiness

__all__ = ["account", "shelf"]

pytestmark = pytest.mark.timeout(150)

LAUNCH, VM = "100000000000000001", "200000000000000001"
LAUNCH_ID, VM_ID = global_id("Launch", LAUNCH), global_id("VM", VM)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(0.01)


async def a_ready_launch(gateway: GatewayWorld, status: LaunchStatus = LaunchStatus.READY) -> None:
    await gateway.db.insert(a_vm(VM))
    await gateway.db.insert(a_launch(LAUNCH, status=status, vm_id=VM, failure="no capacity"))
    await gateway.db.insert(an_event(LAUNCH, 1))
    await gateway.db.insert(an_event(LAUNCH, 2, status))


async def test_a_game_is_launched_and_followed_until_it_can_be_played(gamer: Gamer, gateway: GatewayWorld) -> None:
    launching = asyncio.create_task(gamer("launch", "switch", "mario-odyssey", "--near", "32.7,-96.8"))
    await until(lambda: gateway.progress.followers == 1)
    (launch,) = await gateway.db.find(type(a_launch("1")), {})
    await gateway.db.insert(a_vm(VM))
    await gateway.db.replace(launch.model_copy(update={"status": LaunchStatus.READY, "vm_id": VM}))
    for sequence, status in ((1, LaunchStatus.RUNNING), (2, LaunchStatus.READY)):
        await gateway.db.insert(an_event(launch.id, sequence, status))

    ended = await launching

    assert (ended.status, (launch.game_id, launch.latitude)) == (0, ("mario-odyssey", 32.7))
    assert "The game is ready." in ended.out
    assert "127.0.0.7" in ended.out
    assert f"gamer pair {VM_ID}" in ended.out


async def test_a_key_that_was_used_gives_the_same_launch(gamer: Gamer) -> None:
    asked = ("launch", "SWITCH", "mario-odyssey", "--detach", "--key", "k1")

    first, again = await gamer(*asked), await gamer(*asked)

    assert first.out == again.out != ""


async def test_a_machine_without_a_game_is_launched(gamer: Gamer, gateway: GatewayWorld) -> None:
    await gamer("launch", "snes", "--max-price", "1.50", "--detach")

    (launch,) = await gateway.db.find(type(a_launch("1")), {})
    assert (launch.console, launch.game_id, str(launch.max_usd_per_hour)) == ("SNES", None, "1.50")


async def test_a_launch_that_fails_has_a_status_of_its_own(gamer: Gamer, gateway: GatewayWorld) -> None:
    await a_ready_launch(gateway, LaunchStatus.FAILED)

    ended = await gamer("watch", LAUNCH_ID)

    assert ended.status == ExitStatus.LAUNCH_FAILED
    assert "no capacity" in ended.err


async def test_watching_as_json_prints_one_event_a_line(gamer: Gamer, gateway: GatewayWorld) -> None:
    await a_ready_launch(gateway)

    ended = await gamer("watch", LAUNCH_ID, "--json")

    assert [(event["sequence"], event["status"]) for event in ended.json_lines] == [(1, "RUNNING"), (2, "READY")]


async def test_logs_begin_where_they_are_asked_to(gamer: Gamer, gateway: GatewayWorld) -> None:
    await a_ready_launch(gateway)

    everything, rest = await gamer("logs", LAUNCH_ID), await gamer("logs", LAUNCH_ID, "--after", "1", "--json")

    assert len(everything.out.splitlines()) == 2
    assert [event["sequence"] for event in rest.json_lines] == [2]


async def test_a_lost_connection_loses_no_event_and_repeats_none(
    gamer: Gamer, gateway: GatewayWorld, served: str
) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.RUNNING))
    await gateway.db.insert(an_event(LAUNCH, 1))
    async with a_line_to(served.removeprefix("http://")) as line:
        watching = asyncio.create_task(gamer("watch", LAUNCH_ID, "--json", at=line.address))
        await until(lambda: gateway.progress.followers == 1)
        line.cut()
        await until(lambda: gateway.progress.followers == 0)
        await gateway.db.insert(an_event(LAUNCH, 2))
        await gateway.db.replace(a_launch(LAUNCH, status=LaunchStatus.READY))
        await gateway.db.insert(an_event(LAUNCH, 3, LaunchStatus.READY))

        ended = await watching

    assert [event["sequence"] for event in ended.json_lines] == [1, 2, 3]
    assert (ended.status, "connection lost" in ended.err) == (0, True)


async def test_a_machine_is_watched_until_it_is_deleted(gamer: Gamer, gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_vm(VM, status=VmStatus.DELETED))

    ended = await gamer("watch", VM_ID, "--json")

    assert [vm["status"] for vm in ended.json_lines] == ["DELETED"]


async def test_status_lists_what_exists_and_shows_one_in_full(gamer: Gamer, gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_vm(VM))
    await gateway.db.insert(a_vm("200000000000000002", status=VmStatus.DELETED))
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.RUNNING))

    table, every, launch, vm = [await gamer("status", *more) for more in ((), ("--json",), (LAUNCH_ID,), (VM_ID,))]

    assert (LAUNCH_ID in table.out, VM_ID in table.out) == (True, True)
    assert [each["id"] for each in every.json["machines"]] == [VM_ID]
    assert all(words in launch.out for words in STEPS.values())
    assert f"gamer-{VM}" in vm.out


async def test_stop_cancels_a_launch_and_stops_or_deletes_a_machine(gamer: Gamer, gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.RUNNING))
    await gateway.db.insert(a_vm(VM))
    gateway.engine.answer = CommandResult(accepted=True, status=VmStatus.STOPPING)

    ended = [await gamer("stop", *more) for more in ((LAUNCH_ID,), (VM_ID,), (VM_ID, "--delete"))]

    assert [each.status for each in ended] == [0, 0, 0]
    assert gateway.engine.cancelled == [LAUNCH]
    assert [command.value for _, command in gateway.engine.asked] == ["STOP", "DELETE"]


async def test_saves_are_discarded_only_after_a_confirmation(gamer: Gamer, gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_vm(VM))

    ended = await gamer("stop", VM_ID, "--discard-saves", typed="n\n")

    assert (ended.status, gateway.engine.asked) == (ExitStatus.REFUSED, [])


async def test_a_device_is_paired_by_its_pin(gamer: Gamer, gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_vm(VM))

    ended, refused = await gamer("pair", VM_ID, "--pin", "4821"), await gamer("pair", VM_ID, "--pin", "48")

    assert (ended.status, gateway.engine.pins) == (0, [Pin("4821", "ann")])
    assert (refused.status, "pin:" in refused.err) == (ExitStatus.REFUSED, True)


async def test_costs_are_shown_as_the_service_states_them(gamer: Gamer, gateway: GatewayWorld) -> None:
    await gateway.db.insert(an_interval("1", 1, utc(2026, 5, 1), utc(2026, 5, 2), user_id="ann"))
    days = ("--from", "2026-05-01", "--to", "2026-05-03", "--by", "vm")

    table, report, month = await gamer("costs", *days), await gamer("costs", *days, "--json"), await gamer("costs")

    assert report.json["total"] in table.out
    assert report.json["groups"][0]["group"] == global_id("VM", "1")
    assert (month.status, "total" in month.out) == (0, True)


async def test_limits_are_set_listed_and_removed_by_operators(gamer: Gamer) -> None:
    made = await gamer("limits", "set", "daily", "25.00", "--hard", "--user", "ann", caller=OPERATOR)
    listed = await gamer("limits", "--json")
    refused = await gamer("limits", "set", "daily", "1", caller=ANN)
    removed = await gamer("limits", "remove", "daily", "--user", "ann", caller=OPERATOR)

    assert [each.status for each in (made, refused, removed)] == [0, ExitStatus.NOT_ALLOWED, 0]
    assert [(each["amount"], each["hard"]) for each in listed.json] == [("25.00", True)]


async def test_keys_are_made_listed_and_revoked(gamer: Gamer, gateway: GatewayWorld, tmp_path: Path) -> None:
    file = tmp_path / "key"
    made = await gamer("keys", "create", "webshop", "--secret-file", str(file), "--json", caller=OPERATOR)
    listed = await gamer("keys", "list", caller=OPERATOR)
    revoked = await gamer("keys", "revoke", made.json["id"], caller=OPERATOR)

    secret = file.read_text().strip()
    (stored,) = await gateway.db.find(ApiKey, {})
    assert secret.startswith(f"gamer_{stored.id}_")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret not in made.out + listed.out + revoked.out
    assert ("webshop" in listed.out, stored.revoked_at is not None) == (True, True)


async def test_costs_and_the_audit_log_are_exported(gamer: Gamer, gateway: GatewayWorld, tmp_path: Path) -> None:
    await gateway.db.insert(an_interval("1", 1, utc(2026, 5, 1), utc(2026, 5, 1, 2)))
    await gamer("limits", "set", "daily", "25.00", "--user", "=ann", caller=OPERATOR)
    file = tmp_path / "may.csv"

    costs = await gamer("export", "costs", "--month", "2026-05", "--output", str(file), caller=OPERATOR)
    again = await gamer("export", "costs", "--month", "2026-05", "--output", str(file), caller=OPERATOR)
    audit = await gamer("export", "audit", caller=OPERATOR)
    refused = await gamer("export", "costs", caller=BOB)

    assert [each.status for each in (costs, again, refused)] == [0, ExitStatus.USAGE, ExitStatus.NOT_ALLOWED]
    assert [row["vm"] for row in csv.DictReader(io.StringIO(file.read_text()))] == [global_id("VM", "1")]
    assert [row["action"] for row in csv.DictReader(io.StringIO(audit.out))] == ["setSpendingLimit"]


async def test_saves_are_listed_downloaded_renamed_deleted_and_brought_back(
    shelf: Shelf, gamer: Gamer, tmp_path: Path
) -> None:
    await shelf.upload(MONDAY, b"level 1")
    execution = GraphQLExecution(trusted_only=True)
    async with listening(create_app(web_gateway(shelf.gateway, execution=execution), Readiness({}))) as address:
        at = f"http://{address}"
        listed = await gamer("saves", "list", "gb", "--json", at=at)
        assert listed.status == 0, listed.err
        (slot,) = listed.json
        versions = await gamer("saves", "versions", "gb", slot["id"], at=at)
        file = tmp_path / "save.tar.gz"
        downloaded = await gamer("saves", "download", slot["current"]["id"], "--output", str(file), at=at)
        renamed = await gamer("saves", "rename", slot["id"], "second", "--json", at=at)
        deleted = await gamer("saves", "delete", renamed.json["id"], "--yes", "--json", at=at)
        undeleted = await gamer("saves", "undelete", deleted.json["id"], "--json", at=at)

    assert slot["versions"]["edges"][0]["node"]["id"] in versions.out
    assert (downloaded.status, file.stat().st_size) == (0, slot["current"]["bytes"])
    assert (renamed.json["saveId"], deleted.json["deletedAt"] is not None) == ("second", True)
    assert undeleted.json["deletedAt"] is None


async def test_games_are_listed(gamer: Gamer) -> None:
    ended = await gamer("games", "snes", "--json")

    assert [game["gameId"] for game in ended.json] == ["metroid", "zelda"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("launch", "atari", "pong"), ExitStatus.USAGE),
        (("launch", "snes", "zelda", "--near", "here"), ExitStatus.USAGE),
        (("launch", "snes", "no-such-game", "--detach"), ExitStatus.NOT_FOUND),
        (("status", LAUNCH_ID), ExitStatus.NOT_FOUND),
        (("keys", "list"), ExitStatus.NOT_ALLOWED),
        (("export", "costs", "--month", "May"), ExitStatus.USAGE),
    ],
)
async def test_what_is_refused_has_its_exit_status(
    gamer: Gamer, arguments: tuple[str, ...], status: ExitStatus
) -> None:
    assert (await gamer(*arguments)).status == status


async def test_a_service_that_cannot_be_reached_has_its_exit_status_also_as_json(gamer: Gamer) -> None:
    ended = await gamer("stop", VM_ID, "--json", at="http://127.0.0.1:9")

    assert ended.status == ExitStatus.UNAVAILABLE
    assert '"exitStatus": 6' in ended.err


async def test_a_part_that_cannot_be_read_is_explained_and_ends_the_command_with_its_status(
    gamer: Gamer, gateway: GatewayWorld
) -> None:
    await a_ready_launch(gateway)
    await gateway.db.update_many(Vm, {"_id": VM}, {"$set": {"status": "HIBERNATED"}})

    ended = await gamer("status", LAUNCH_ID, "--json")

    assert (ended.json["status"], ended.json["vm"]) == ("READY", None)
    assert ended.status == ExitStatus.INTERNAL
    assert ended.err.count("UNREADABLE_RECORD") == 1
    assert "this version cannot read status" in ended.err


async def test_texts_of_the_service_cannot_control_the_terminal(gamer: Gamer, gateway: GatewayWorld) -> None:
    await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.RUNNING, failure="\x1b[2Jgone", game_id="[red]x"))

    ended = await gamer("status", LAUNCH_ID)

    assert "\x1b" not in ended.out
    assert ("[2Jgone" in ended.out, "[red]x" in ended.out) == (True, True)


@pytest.mark.parametrize(("terminal", "lines"), [("200", 1), ("40", 2)])
def test_a_table_stays_in_one_piece_and_becomes_blocks_where_it_is_too_wide(
    terminal: str, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", terminal)
    monkeypatch.setenv("FORCE_COLOR", "1")

    print_table(("machine", "place"), [(VM_ID, "Frankfurt am Main")])

    shown = capsys.readouterr().out
    assert VM_ID in shown
    assert len([line for line in shown.splitlines() if VM_ID in line or "Frankfurt am Main" in line]) == lines


def test_bars_show_the_launch_and_its_nine_steps() -> None:
    screen = io.StringIO()
    event = {"progress": 0.25, "message": "Booting", "step": "BOOT", "stepStatus": "RUNNING"}

    with Bars(Console(file=screen, force_terminal=True, width=120)) as bars:
        bars.show(event)
        bars.show({**event, "stepStatus": "DONE"})

    assert all(words in screen.getvalue() for words in ("launch", "Booting", *STEPS.values()))


async def test_the_shell_completes_commands(gamer: Gamer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_GAMER_COMPLETE", "complete_bash"), ("COMP_WORDS", "gamer la"), ("COMP_CWORD", "1")):
        monkeypatch.setenv(name, value)

    ended = await gamer()

    assert ended.out.split() == ["launch"]


class Line:
    """A network between a client and a gateway that can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._there = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self.address = ""

    def cut(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(*self._there)
        self._writers |= {writer, there[1]}
        await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def a_line_to(address: str) -> AsyncIterator[Line]:
    host, _, port = address.partition(":")
    line = Line(host, int(port))
    async with await asyncio.start_server(line.carry, "127.0.0.1", 0) as server:
        line.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield line
        line.cut()
