"""The console as people use it: in a browser in which no name outside this machine resolves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway import ANN, GatewayWorld, token
from tests.web.chromium import EXECUTABLE, Page, open_page

pytestmark = pytest.mark.skipif(
    EXECUTABLE is None, reason="the console was NOT tried in a browser: no Chromium here; `apt-get install chromium`"
)

TEXT = "document.body.innerText"


@pytest.fixture
async def page(served: str, tmp_path: Path) -> AsyncIterator[Page]:
    async with open_page(f"http://{served}/console", tmp_path) as opened:
        yield opened
        (tmp_path / "page.png").write_bytes(await opened.picture())  # to look at: pytest keeps the last runs' folders


async def test_a_player_signs_in_and_finds_a_game(gateway: GatewayWorld, served: str, page: Page) -> None:
    await page.until("document.querySelector('#credential')")
    await page.write("#credential", token(ANN))
    await page.click(".sign-in button")
    await page.until("document.querySelectorAll('.consoles button').length === 9")

    await page.evaluate(
        "[...document.querySelectorAll('.consoles button')].find(b => /Super/.test(b.innerText)).click()"
    )
    await page.until("document.querySelectorAll('.games button').length === 2")
    await page.write("input[type=search]", "METR")
    await page.until("document.querySelector('.games').innerText === 'Metroid'")

    assert [url for url in page.requests if not url.startswith(f"http://{served}/")] == []
    assert [words for words in page.complaints if "401" not in words] == []
