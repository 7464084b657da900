"""The operators' views of the console, in a browser in which no name outside this machine resolves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from models.api_keys import ApiKey
from models.audit import Outcome, new_entry
from models.roles import Role
from models.usage import UsageState
from models.vms import Vm, VmStatus
from providers.base import ProviderName
from tests.billing.exact import an_interval
from tests.gateway import NOON, OPERATOR, GatewayWorld, a_vm, gateway, listening, token, web_gateway
from tests.web.chromium import EXECUTABLE, Page, open_page
from tests.web.test_console_in_chromium import press
from tests.world import World, world
from web.app import create_app
from web.health import Readiness

__all__ = ["gateway", "world"]

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        EXECUTABLE is None, reason="the console was NOT tried in a browser: no Chromium; `apt-get install chromium`"
    ),
]
PARTS: Final = "[...document.querySelectorAll('[aria-labelledby=parts-title] li')].map(part => part.innerText)"
ENTRIES: Final = "document.querySelectorAll('[aria-labelledby=audit-title] tbody tr').length"
ROWS: Final = "[...document.querySelectorAll('.machines .rows > [role=row]')]"


@asynccontextmanager
async def operator_page(gateway: GatewayWorld, tmp_path: Path, view: str, before: str = "0") -> AsyncIterator[Page]:
    """A browser in which an operator looks at a view. The script `before` runs before the operator signs in."""
    app = create_app(web_gateway(gateway), Readiness())
    async with listening(app) as address, open_page(f"http://{address}/console#/{view}", tmp_path / "profile") as page:
        await page.until("document.querySelector('#credential')")
        await page.evaluate(before)
        await page.write("#credential", token(OPERATOR, lasting_s=600))
        await page.click(".sign-in button")
        yield page
        (tmp_path / "page.png").write_bytes(await page.picture())  # to look at: pytest keeps the last runs' folders
        assert [url for url in page.requests if address not in url] == []
        assert [words for words in page.complaints if "401" not in words] == []


async def test_an_operator_stops_a_machine_and_sees_it_stop(
    world: World, gateway: GatewayWorld, tmp_path: Path
) -> None:
    vm = await world.machine()
    gateway.services = replace(gateway.services, fleet=world.fleet)

    async with operator_page(gateway, tmp_path, "machines") as page:
        await page.until(f"{ROWS}.length === 1 && {ROWS}[0].innerText.includes('Running')")
        await press(page, "Open")
        await press(page, "Stop", "dialog[open]")
        await press(page, "Stop", "dialog dialog[open]")
        await page.until(f"{ROWS}[0].innerText.includes('Stopped')")

    assert (await world.again(vm)).status is VmStatus.STOPPED
    assert world.streaming.calls["upload_saves"] >= 1


async def test_the_table_is_right_after_a_change_during_a_page_and_after_an_event_with_errors(
    gateway: GatewayWorld, tmp_path: Path
) -> None:
    await gateway.db.insert_many([a_vm("200000000000000001", "player-1"), a_vm("200000000000000002", "player-2")])

    async with operator_page(gateway, tmp_path, "machines", HOLD_MACHINES) as page:
        await page.until("window.held")
        await gateway.db.update(Vm, {"_id": "200000000000000001"}, {"$set": {"status": VmStatus.DELETED}})
        await page.until("window.heard.some(text => text.includes('DELETED'))")
        await page.evaluate("window.release()")
        await page.until(f"{ROWS}.length > 0")
        rows = await page.evaluate(f"{ROWS}.map(row => row.innerText)")
        await page.evaluate(EVENT_WITH_ERRORS)
        await page.until("window.sent.filter(type => type === 'subscribe').length === 2")
        await gateway.db.update(Vm, {"_id": "200000000000000002"}, {"$set": {"status": VmStatus.STOPPED}})
        await page.until(f"{ROWS}[0].innerText.includes('Stopped')")
        sent = await page.evaluate("window.sent")

    assert (len(rows), "player-2" in rows[0]) == (1, True)
    assert sent == ["subscribe", "complete", "subscribe"]


async def test_thousands_of_machines_load_by_pages_and_render_only_those_in_sight(
    gateway: GatewayWorld, tmp_path: Path
) -> None:
    for first in range(0, 1_000, 500):
        created = {number: NOON + timedelta(seconds=number) for number in range(first, first + 500)}
        await gateway.db.insert_many(
            [a_vm(f"2{number:017}", f"player-{number}", created_at=at) for number, at in created.items()]
        )

    async with operator_page(gateway, tmp_path, "machines") as page:
        await page.until(f"{ROWS}.length > 5")
        before_s = await processor_s(page)
        frames = await page.evaluate(SCROLL)
        busy_s = await processor_s(page) - before_s
        await page.until(f"{ROWS}.some(row => row.innerText.includes('player-400'))")
        in_sight = await page.evaluate(f"{ROWS}.length")

    assert in_sight <= 60
    assert busy_s / frames < 0.05


async def test_an_operator_reads_the_bill_of_last_month_and_its_parts_add_up(
    gateway: GatewayWorld, tmp_path: Path
) -> None:
    last = datetime.now(UTC).replace(day=1, hour=22, minute=0, second=0, microsecond=0) - timedelta(days=1)
    day = last - timedelta(days=3)
    third = {"machine_usd_per_hour": "0.333333333", "storage_usd_per_hour": "0.007"}
    await gateway.db.insert_many(
        [
            an_interval("1", 1, day, day + timedelta(hours=3), **third),
            an_interval("1", 2, day + timedelta(hours=3), day + timedelta(hours=4), state=UsageState.STOPPED, **third),
            an_interval("2", 1, day, day + timedelta(minutes=7), user_id="bob", provider=ProviderName.CLOUDYPAD),
        ]
    )
    await gateway.data("SetSpendingLimit", OPERATOR, input={"period": "MONTHLY", "amount": "20", "hard": True})
    days = {"start": f"{day:%Y-%m-01}", "end": f"{last:%Y-%m-%d}"}
    report = (await gateway.data("CostReport", OPERATOR, **days))["costReport"]

    async with operator_page(gateway, tmp_path, "money?period=last") as page:
        await page.until("document.querySelectorAll('.receipts tbody tr').length === 3")
        await page.until("document.querySelectorAll('.chart rect').length === 3")
        totals = await page.evaluate("[...document.querySelectorAll('[data-total]')].map(one => one.dataset.total)")
        amounts = await page.evaluate(
            "[...document.querySelectorAll('.receipts tbody > tr > td:last-child data')].map(d => d.value)"
        )
        await page.until("document.querySelector('.limits')?.innerText.includes('Whole platform: $20.00 a month')")
        await page.evaluate(EXPORTS_REFUSED)
        await press(page, "CSV of the month")
        await page.until("document.querySelector('.sign-in')?.innerText.includes('the token has expired')")

    assert totals == [report["total"], report["total"]]
    assert str(sum(map(Decimal, amounts))) == report["total"]


async def test_an_operator_makes_a_key_and_is_told_what_is_wrong_with_a_console(
    gateway: GatewayWorld, tmp_path: Path
) -> None:
    async with operator_page(gateway, tmp_path, "health") as page:
        await press(page, "New key")
        await page.write("input[name=name]", "webshop")
        await press(page, "Create")
        await page.until("document.querySelector('.message.good code')?.innerText.length > 20")
        await page.click("[aria-label='Change Game Boy']")
        await page.until("document.querySelector('dialog[open]')")  # opening it moves the focus
        await page.evaluate("document.querySelector('dialog input[name=idle]').value = ''")
        await page.write("dialog input[name=idle]", "0")
        await press(page, "Save", "dialog")
        await page.until("document.querySelector('dialog .message.bad')?.innerText.includes('1 and 1440')")
        await page.evaluate("document.querySelector('dialog input[name=idle]').value = ''")
        await page.write("dialog input[name=idle]", "25")
        await press(page, "Save", "dialog")
        await page.until("!document.querySelector('dialog[open]')")

    keys = (await gateway.data("ApiKeys", OPERATOR))["apiKeys"]["edges"]
    consoles = {each["type"]: each for each in (await gateway.data("Consoles"))["consoles"]}
    assert [(edge["node"]["name"], edge["node"]["role"]) for edge in keys] == [("webshop", "SERVICE")]
    assert consoles["GB"]["idleStopMinutes"] == 25


async def test_health_shows_all_keys_each_entry_once_and_what_is_not_known(
    gateway: GatewayWorld, tmp_path: Path
) -> None:
    times = [NOON + timedelta(seconds=number) for number in range(120)]
    by: dict[str, Any] = {"created_by": "admin", "role": Role.SERVICE, "digest": "0" * 64}
    keys = [ApiKey(id=f"key-{at:%M%S}", name=f"key of {at:%M:%S}", created_at=at, **by) for at in times]
    await gateway.db.insert_many(keys)
    await gateway.db.insert_many([new_entry("admin", Role.OPERATOR, "stopVm", Outcome.DONE, at=at) for at in times])

    async with operator_page(gateway, tmp_path, "health", CUT_READINESS) as page:
        await page.until(f"{PARTS}.filter(part => part.includes('unknown')).length === 2")
        await page.until("document.querySelector('.message.bad')?.innerText.includes('cannot be reached')")
        await page.evaluate("window.cut = false")
        await press(page, "Try again")
        await page.until(f"!{PARTS}.some(part => part.includes('unknown'))")
        await page.until("document.querySelectorAll('[aria-labelledby=keys-title] tbody tr').length === 120")
        older = "[...document.querySelectorAll('button')].find(one => one.innerText === 'Older entries')"
        for loaded in (100, 120):
            await page.until(older)
            await page.evaluate(f"{older}.click(); {older}.click()")
            await page.until(f"{ENTRIES} >= {loaded} && !{older}?.disabled", 8)
        entries = await page.evaluate(ENTRIES)

    assert entries == 120


async def processor_s(page: Page) -> float:
    """The processor time of the page's main thread: how long frames take depends on what else the computer does."""
    await page.ask("Performance.enable", timeDomain="threadTicks")
    metrics = (await page.ask("Performance.getMetrics"))["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")


# Answers requests for exports as the service does once the credential is over.
EXPORTS_REFUSED: Final = """
    const ask = window.fetch;
    window.fetch = async (address, options) => {
        if (!address.includes('/exports/')) return ask(address, options);
        const error = {message: 'the token has expired', extensions: {code: 'UNAUTHENTICATED'}};
        return new Response(JSON.stringify({errors: [error]}), {status: 401});
    };
    0"""
# Lets no request for the service's readiness through while `cut` is true.
CUT_READINESS: Final = """
    const ask = window.fetch;
    window.cut = true;
    window.fetch = async (address, options) => {
        if (window.cut && address.endsWith('/ready')) throw new TypeError('the network is away');
        return ask(address, options);
    };
    0"""
# Keeps the first page of machines back until `release`, and writes down what the WebSocket sends and hears.
HOLD_MACHINES: Final = """
    Object.assign(window, {heard: [], sent: [], gate: new Promise(done => { window.release = done; })});
    const [send, ask] = [WebSocket.prototype.send, window.fetch];
    WebSocket.prototype.send = function(text) {
        const {type, id} = JSON.parse(text);
        if (id) window.sent.push(type);
        if (type === 'connection_init') this.addEventListener('message', event => window.heard.push(event.data));
        if (type === 'subscribe') Object.assign(window, {socket: this, operation: id});
        return send.call(this, text);
    };
    window.fetch = async (address, options) => {
        const answer = await ask(address, options);
        if (!options.body?.includes('"operationName":"Machines"')) return answer;
        window.held = true;
        await window.gate;
        return answer;
    };
    0"""
EVENT_WITH_ERRORS: Final = """window.socket.dispatchEvent(new MessageEvent('message', {data: JSON.stringify({
    type: 'next', id: window.operation,
    payload: {data: null, errors: [{message: 'for now', extensions: {code: 'UNAVAILABLE'}}]},
})}))"""
# Scrolls by half a screen a frame until six hundred machines are behind, and returns the number of frames.
SCROLL: Final = """new Promise(done => {
    const box = document.querySelector('.machines');
    let frames = 0;
    (function frame() {
        frames++;
        box.scrollTop += 300;
        if (box.scrollTop > 600 * 52) done(frames); else requestAnimationFrame(frame);
    })();
})"""
