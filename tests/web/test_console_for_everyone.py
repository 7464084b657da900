"""Whether everyone can use the console: axe finds nothing serious, and every view fits a narrow screen."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from models.launches import LaunchStatus, LaunchStepName, Step, StepStatus
from schema.ids import global_id
from tests.billing.exact import an_interval
from tests.gateway import ANN, OPERATOR, a_launch, a_vm, an_event, listening, token, web_gateway
from tests.saves_shelf import LAUNCH, MONDAY, ON_M1, ON_M2, OTHER_LAUNCH, Shelf, account, shelf
from tests.web.chromium import EXECUTABLE, Page, open_page
from web.app import create_app
from web.health import Readiness

__all__ = ["account", "shelf"]

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        EXECUTABLE is None, reason="the console was NOT examined: no Chromium here; `apt-get install chromium`"
    ),
]

NARROW: Final = 360
SERIOUS: Final = """axe.run(document, {resultTypes: ['violations']}).then(found => found.violations
    .filter(({impact}) => impact === 'serious' || impact === 'critical')
    .flatMap(({id, nodes}) => nodes.map(({target}) => `${id}: ${target.join(' ')}`)))"""
# The elements that may make the page wider than the screen; none if it fits.
TOO_WIDE: Final = f"""document.documentElement.scrollWidth <= {NARROW} ? [] : [...document.querySelectorAll('body *')]
    .filter(one => one.getBoundingClientRect().right > {NARROW})
    .map(one => one.tagName + ' ' + one.className + ' ' + one.innerText?.slice(0, 40))"""
# Whether the tab of the shown view is in sight; also true where no view is shown.
TAB_IS_IN_SIGHT: Final = f"""[...document.querySelectorAll('nav [aria-current=page]')].every(tab => {{
    const {{left, right}} = tab.getBoundingClientRect();
    return left >= 0 && right <= {NARROW};
}})"""
# Addresses of views, each with an expression that is true once it shows its data.
PLAYERS_VIEWS: Final = {
    "play?console=SWITCH&game=mario-odyssey": "document.querySelectorAll('.placements > li').length === 2",
    f"play/launch/{global_id('Launch', LAUNCH)}": "document.querySelector('.address code')",
    f"play/launch/{global_id('Launch', OTHER_LAUNCH)}": "document.querySelector('#cancel-launch')",
    "saves?console=GB": "document.querySelectorAll('.choices > li').length === 2",
    "%E0%A4%A": "document.querySelector('main').innerText.includes('There is no such page')",
}
OPERATORS_VIEWS: Final = {
    "machines": "document.querySelector('main').innerText.includes('Dallas')",
    "map": "document.querySelector('main table')?.innerText.includes('Dallas')",
    "money": "document.querySelector('.receipts') && document.querySelector('.chart rect')",
    "health": "document.querySelector('main').innerText.includes('Game Boy') && document.querySelector('.id')",
}


async def fill(shelf: Shelf) -> None:
    """Store a launch that is ready, one that is under way, and a save with a conflict."""
    db = shelf.gateway.db
    soon = datetime.now(UTC) + timedelta(minutes=59)
    steps = [Step(name=name, status=StepStatus.DONE, detail="Done") for name in LaunchStepName]
    await db.insert(a_launch(LAUNCH, status=LaunchStatus.READY, steps=steps, vm_id="200000000000000009"))
    await db.insert(a_vm("200000000000000009", launch_id=LAUNCH, warnings=None))
    await db.insert(an_event(LAUNCH, 1, LaunchStatus.READY))
    await db.insert(an_interval("200000000000000009", 1, soon - timedelta(minutes=60), None))
    await shelf.gateway.data("CreateApiKey", OPERATOR, input={"name": "webshop", "role": "SERVICE"})
    await shelf.gateway.data("SetSpendingLimit", OPERATOR, input={"period": "MONTHLY", "amount": "20"})
    await db.insert(a_launch(OTHER_LAUNCH, status=LaunchStatus.RUNNING, game_id="splatoon", estimated_ready_at=soon))
    await db.insert(an_event(OTHER_LAUNCH, 1))
    await shelf.upload(MONDAY, b"level 1")
    await shelf.upload(MONDAY + timedelta(hours=1), b"level 2", ON_M2)
    await shelf.conflict(b"level 3", ON_M1)


async def examine(page: Page, view: str) -> None:
    """Require that nothing serious is found in either theme, and that nothing is wider than a narrow screen."""
    await page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    for theme in ("light", "dark"):
        await page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        assert (view, theme, await page.evaluate(SERIOUS)) == (view, theme, [])
    assert (view, await page.evaluate(TOO_WIDE)) == (view, [])
    assert (view, await page.evaluate(TAB_IS_IN_SIGHT)) == (view, True)


async def test_axe_finds_nothing_serious_and_every_view_fits_a_narrow_screen(
    shelf: Shelf, console_packages: Path, tmp_path: Path
) -> None:
    await fill(shelf)
    app = create_app(web_gateway(shelf.gateway), Readiness())
    async with listening(app) as address, open_page(f"http://{address}/console", tmp_path) as page:
        await page.ask("Emulation.setDeviceMetricsOverride", width=NARROW, height=780, deviceScaleFactor=1, mobile=True)
        await page.evaluate((console_packages / "axe-core" / "axe.min.js").read_text() + "; 0")
        await page.until("document.querySelector('#credential')")
        await examine(page, "sign-in")
        for caller, views in ((ANN, PLAYERS_VIEWS), (OPERATOR, OPERATORS_VIEWS)):
            await page.until("document.querySelector('#credential')")
            await page.write("#credential", token(caller, lasting_s=600))
            await page.click(".sign-in button")
            for view, is_shown in views.items():
                await page.evaluate(f"location.hash = {json.dumps('#/' + view)}")
                await page.until(is_shown)
                await examine(page, view)
            await page.click(".viewer button")
