"""Wolf on a machine, as Moonlight, browsers and our own service meet it."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import aiohttp
import asyncssh
import pytest

from simulator.addresses import HTTP, HTTPS, RTSP
from simulator.machines.container import WolfShape
from tests.moonlight import Moonlight
from tests.simulator.machines.box import CONFIG, Box

SOCKET = "curl --unix-socket /tmp/sockets/wolf.sock -sS"
BASE = "http://localhost/api/v1"
CONFIG_FILE = "/home/user/wolf/config.toml"


async def test_it_answers_serverinfo_to_all_over_http_and_to_paired_clients_over_https(wolf: Box) -> None:
    plain = await _serverinfo(wolf, "http", HTTP)
    encrypted = await _serverinfo(wolf, "https", HTTPS, status="401")

    assert encrypted == {}
    assert plain["hostname"] == "gamer"
    assert plain["uniqueid"] == "6d0f4f0e-6a55-4f0b-9a3d-2f6a7c1b9e10"
    assert (plain["PairStatus"], plain["state"]) == ("0", "SUNSHINE_SERVER_FREE")
    assert (plain["HttpsPort"], plain["ExternalPort"]) == ("47984", "47989")


async def test_rtsp_answers_options(wolf: Box) -> None:
    reader, writer = await asyncio.open_connection(wolf.address.ip, wolf.address.port(RTSP))
    writer.write(b"OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n")

    answer = await reader.readuntil(b"\r\n\r\n")

    assert answer.startswith(b"RTSP/1.0 200 OK\r\nCSeq: 7\r\n")
    writer.close()
    await writer.wait_closed()


async def test_the_readiness_check_sees_whether_wolf_listens(wolf: Box) -> None:
    ready = [await wolf.run("/usr/local/bin/cloudypad-check-readiness")]
    await wolf.machine.containers.stop("wolf")
    ready.append(await wolf.run("/usr/local/bin/cloudypad-check-readiness"))

    assert [said.status for said in ready] == [0, 1]


async def test_the_socket_is_seen_outside_the_container(wolf: Box) -> None:
    assert (await wolf.run("test -S /tmp/sockets/wolf.sock")).status == 0


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ("config_version = [", "Error parsing config file"),
        ('config_version = "9"', "Unsupported config_version: '9'"),
        ('hostname = "x"', "Unsupported config_version: None"),
        (CONFIG.replace('image = "ghcr.io/games-on-whales/pegasus:edge"', ""), "lacks image"),
        (CONFIG.replace('type = "docker"', 'type = "podman"'), "Unknown runner type"),
    ],
)
async def test_with_a_broken_configuration_it_does_not_come_up(wolf: Box, config: str, complaint: str) -> None:
    wolf.write(CONFIG_FILE, config)

    await wolf.output("sudo docker restart wolf")

    assert complaint in await wolf.output("sudo docker logs --tail 1 wolf")
    assert wolf.machine.containers.find("wolf").state == "restarting"
    with pytest.raises(aiohttp.ClientConnectorError):
        await _serverinfo(wolf, "http", HTTP)


@pytest.mark.parametrize("version", [6, 7, 8, 9])
async def test_the_configurations_of_all_ages_with_profiles_are_read(wolf: Box, version: int) -> None:
    config = CONFIG.replace("config_version = 6", f"config_version = {version}")
    wolf.write(CONFIG_FILE, config)

    await wolf.output("sudo docker restart wolf")

    assert [app["title"] for app in (await _api(wolf, "apps"))["apps"]]


async def test_a_paired_moonlight_lists_the_apps_launches_one_and_quits(wolf: Box, tmp_path: Path) -> None:
    http, https = (
        f"{name}://{wolf.address.ip}:{wolf.address.port(port)}" for name, port in (("http", HTTP), ("https", HTTPS))
    )
    moonlight = Moonlight(http, tmp_path, "4821")
    stranger = await moonlight.ask(https, "applist")
    pairing = asyncio.create_task(moonlight.pair())
    waiting: list[dict[str, str]] = []
    while not waiting:
        waiting = (await _api(wolf, "pair/pending"))["requests"]
    await _api(wolf, "pair/client", {"pair_secret": waiting[0]["pair_secret"], "pin": "4821"})
    assert await pairing

    listed = await moonlight.ask(https, "applist")
    first = {child.tag: child.text or "" for child in listed[0]}
    keys = {"rikey": "0" * 32, "rikeyid": "1"}
    wrong = await moonlight.ask(https, "launch", appid="no-such-app", mode="1280x720x60", **keys)
    launched = await moonlight.ask(https, "launch", appid=first["ID"], mode="1280x720x60", **keys)
    sessions = (await _api(wolf, "sessions"))["sessions"]
    info = await moonlight.ask(https, "serverinfo")
    resumed = await moonlight.ask(https, "resume", **keys)
    await moonlight.ask(https, "cancel")

    assert (stranger.get("status_code"), wrong.get("status_code")) == ("401", "400")
    assert first["AppTitle"] == (await _api(wolf, "apps"))["apps"][0]["title"]
    assert (launched.findtext("gamesession"), launched.findtext("sessionUrl0")) == (
        "1",
        f"rtsp://{wolf.address.ip}:48010",
    )
    assert [(one["app_id"], one["video_width"], one["video_height"]) for one in sessions] == [(first["ID"], 1280, 720)]
    assert (info.findtext("PairStatus"), info.findtext("currentgame")) == ("1", first["ID"])
    assert resumed.findtext("resume") == "1"
    assert (await _api(wolf, "sessions"))["sessions"] == []


async def test_apps_of_an_older_configuration_are_not_listed(wolf: Box) -> None:
    wolf.write(CONFIG_FILE, 'config_version = 4\n[[apps]]\ntitle = "Old"\n')

    await wolf.output("sudo docker restart wolf")

    assert (await _api(wolf, "apps"))["apps"] == []


async def test_it_comes_back_after_a_power_cut(wolf: Box) -> None:
    await wolf.park.power_off("m-1")
    await wolf.park.power_on("m-1")

    while not wolf.machine.containers.listening():
        await wolf.machine.clock.sleep(5)

    assert (await _serverinfo(wolf, "http", HTTP))["hostname"] == "gamer"


async def test_a_pin_over_the_socket_pairs_a_client_for_good(wolf: Box) -> None:
    request = wolf.park.wolf("m-1").begin_pairing("203.0.113.9", pin="4821")
    pending = (await _api(wolf, "pair/pending"))["requests"]

    handed = await _api(wolf, "pair/client", {"pair_secret": pending[0]["pair_secret"], "pin": "4821"})

    assert pending == [{"pair_secret": request.secret, "client_ip": "203.0.113.9"}]
    assert handed == {"success": True}
    assert await request.paired is True
    assert "Succesfully paired 203.0.113.9" in await wolf.output("sudo docker logs --tail 1 wolf")
    before = (await _api(wolf, "clients"))["clients"]
    await wolf.output("sudo docker restart wolf")
    assert (await _api(wolf, "clients"))["clients"] == before
    assert isinstance(before[0]["client_id"], str)


async def test_a_wrong_pin_pairs_nobody(wolf: Box) -> None:
    request = wolf.park.wolf("m-1").begin_pairing("203.0.113.9", pin="4821")

    handed = await _api(wolf, "pair/client", {"pair_secret": request.secret, "pin": "0000"})

    assert handed == {"success": True}
    assert await request.paired is False
    assert (await _api(wolf, "clients"))["clients"] == []
    assert "Failed pairing with 203.0.113.9" in await wolf.output("sudo docker logs --tail 1 wolf")


async def test_an_unknown_secret_is_refused_on_both_ways(wolf: Box) -> None:
    over_socket = await _api(wolf, "pair/client", {"pair_secret": "00", "pin": "1"})
    async with (
        aiohttp.ClientSession() as http,
        http.post(_url(wolf, "/pin/"), json={"pin": "1", "secret": "00"}) as page,
    ):
        status = page.status

    assert over_socket == {"success": False, "error": "Invalid pair secret"}
    assert status == 400


async def test_the_pin_page_takes_the_secret_that_the_log_shows(wolf: Box) -> None:
    request = wolf.park.wolf("m-1").begin_pairing(pin="1234")
    logged = (await wolf.output("sudo docker logs --tail 1 wolf")).rpartition("#")[2]

    given = {"pin": "1234", "secret": logged.strip()}
    async with aiohttp.ClientSession() as http, http.post(_url(wolf, "/pin/"), json=given) as page:
        said = await page.text()

    assert (page.status, said) == (200, "OK")
    assert await request.paired is True


async def test_a_pairing_written_over_a_replaced_file_is_lost(wolf: Box) -> None:
    """A file that is bound by itself stays the one that was opened: a rename beside it changes nothing in there."""
    await wolf.output("cp wolf/config.toml wolf/new")
    await wolf.output("mv -f wolf/new wolf/config.toml")

    request = wolf.park.wolf("m-1").begin_pairing(pin="1")
    wolf.park.wolf("m-1").pairings.give_pin(request.secret, "1")
    await wolf.output("sudo docker restart wolf")

    assert (await _api(wolf, "clients"))["clients"] == []


async def test_settings_of_a_client_are_changed_partly(wolf: Box) -> None:
    client = await _paired(wolf)
    body = {"client_id": client, "app_state_folder": "developer", "settings": {"run_uid": 1001}}

    changed = await _api(wolf, "clients/settings", body)

    told = (await _api(wolf, "clients"))["clients"][0]
    assert changed == {"success": True}
    assert (told["app_state_folder"], told["settings"]["run_uid"], told["settings"]["run_gid"]) == (
        "developer",
        1001,
        1000,
    )
    assert 'app_state_folder = "developer"' in wolf.read(CONFIG_FILE)


@pytest.mark.parametrize(
    "body",
    [
        {"client_id": "1", "app_state_folder": None, "settings": None},
        {"client_id": "1"},
        {"app_state_folder": "x", "settings": {}},
    ],
)
async def test_settings_without_a_key_or_for_nobody_are_refused(wolf: Box, body: dict[str, Any]) -> None:
    assert (await _api(wolf, "clients/settings", body))["success"] is False


async def test_a_stream_has_a_container_a_home_and_an_end(wolf: Box) -> None:
    client = await _paired(wolf)
    session = await wolf.park.wolf("m-1").begin_session()
    during = (await _api(wolf, "sessions"))["sessions"]
    containers = await wolf.output("sudo docker ps --format '{{.Names}}'")
    busy = (await _serverinfo(wolf, "http", HTTP))["state"]

    ended = await _api(wolf, "sessions/stop", {"session_id": client})

    assert [(one["client_id"], one["app_id"]) for one in during] == [(client, "1")]
    assert sorted(containers.splitlines()) == [f"WolfSwitch_{client}", "wolf"]
    assert busy == "SUNSHINE_SERVER_BUSY"
    assert ended == {"success": True}
    assert (await _api(wolf, "sessions"))["sessions"] == []
    assert [one.name for one in wolf.machine.containers.all()] == ["wolf"]
    assert session.home == f"/var/lib/cloudypad/wolf/{client}/SWITCH-mario-odyssey"
    assert wolf.machine.root_files.stat(session.home).st_uid == 1000


async def test_stopping_an_apps_container_ends_its_session(wolf: Box) -> None:
    client = await _paired(wolf)
    await wolf.park.wolf("m-1").begin_session()

    await wolf.output(f"sudo docker stop -t 1 WolfSwitch_{client}")

    assert (await _api(wolf, "sessions"))["sessions"] == []


async def test_events_tell_of_a_pairing_and_of_a_streams_end(wolf: Box) -> None:
    await _paired(wolf)
    async with await wolf.connect() as connection:
        events = await connection.create_process(f"sudo {SOCKET} {BASE}/events")
        await _until(lambda: wolf.park.wolf("m-1").events.heard)

        session = await wolf.park.wolf("m-1").begin_session()
        wolf.park.wolf("m-1").end_session(session.id)
        heard = [await _event(events) for _ in range(3)]
        events.terminate()

    assert heard == ["StreamSession", "StartRunner", "StopStreamEvent"]


async def test_only_root_opens_the_socket(wolf: Box) -> None:
    said = await wolf.run(f"{SOCKET} {BASE}/apps")

    assert said.status == 7


async def test_an_unknown_path_is_not_found(wolf: Box) -> None:
    assert await _api(wolf, "none") == {"success": False, "error": "Not found"}


async def test_the_older_shape_has_numbers_and_keeps_its_socket_inside(wolf: Box) -> None:
    wolf.park.machine("m-1").wolf_shape = WolfShape.Y2024
    await wolf.output("sudo docker restart wolf")
    request = wolf.park.wolf("m-1").begin_pairing("203.0.113.9")
    inside = f"sudo docker exec -i wolf curl --unix-socket /tmp/wolf.sock -sS {BASE}"

    outside = await wolf.run(f"sudo {SOCKET} {BASE}/apps")
    pending = json.loads(await wolf.output(f"{inside}/pair/pending"))["requests"]
    wolf.park.wolf("m-1").pairings.give_pin(request.secret, "1")
    clients = json.loads(await wolf.output(f"{inside}/clients"))["clients"]
    schema = json.loads(await wolf.output(f"{inside}/openapi-schema"))

    assert outside.status == 7
    assert pending == [{"pair_secret": request.secret, "pin": "203.0.113.9"}]
    assert isinstance(clients[0]["client_id"], int)
    assert "/api/v1/clients/settings" not in schema["paths"]


@pytest.mark.parametrize(("typed", "right"), [("4821", True), ("4822", False)])
async def test_a_moonlight_pairs_by_its_own_protocol(wolf: Box, typed: str, right: bool) -> None:
    moonlight = Moonlight(_url(wolf, ""), wolf.root.parent, pin="4821")
    pairing = asyncio.create_task(moonlight.pair())
    await _until(lambda: bool(wolf.park.wolf("m-1").pairings.pending()))
    [pending] = wolf.park.wolf("m-1").pairings.pending()

    await _api(wolf, "pair/client", {"pair_secret": pending.secret, "pin": typed})

    assert await pairing is right
    assert len((await _api(wolf, "clients"))["clients"]) == int(right)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


async def _paired(box: Box) -> str:
    wolf = box.park.wolf(box.id)
    request = wolf.begin_pairing()
    wolf.pairings.give_pin(request.secret, "1")
    await request.paired
    return wolf.config.clients[-1].id


async def _api(box: Box, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    given = "" if body is None else " -X POST -H 'Content-Type: application/json' --data-binary @-"
    return dict(json.loads(await box.output(f"sudo {SOCKET}{given} {BASE}/{path}", json.dumps(body or {}).encode())))


async def _serverinfo(box: Box, scheme: str, port: int, status: str = "200") -> dict[str, str]:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    url = f"{scheme}://{box.address.ip}:{box.address.port(port)}/serverinfo"
    async with aiohttp.ClientSession() as http, http.get(url, ssl=context) as answer:
        root = ElementTree.fromstring(await answer.text())
    assert root.get("status_code") == status
    return {child.tag: child.text or "" for child in root}


async def _event(process: asyncssh.SSHClientProcess[str]) -> str:
    while not (line := await asyncio.wait_for(process.stdout.readline(), 5)).startswith("event:"):
        pass
    return line.strip().rpartition("::")[2]


def _url(box: Box, path: str) -> str:
    return f"http://{box.address.ip}:{box.address.port(HTTP)}{path}"
