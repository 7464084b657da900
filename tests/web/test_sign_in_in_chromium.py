"""How an operator comes to GraphiQL in production, in a browser and under its policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from schema.execution.executor import GraphQLExecution
from tests.gateway import ANN, OPERATOR, GatewayWorld, listening, token, web_gateway
from tests.web.chromium import EXECUTABLE, open_page
from web.app import create_app
from web.health import Readiness

pytestmark = pytest.mark.skipif(
    EXECUTABLE is None, reason="the sign-in was NOT tried in a browser: no Chromium here; `apt-get install chromium`"
)

REFUSED = "document.getElementById('refused')?.textContent"
RUN = ".graphiql-execute-button"
KEPT_BY_THE_BROWSER = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"


async def test_an_operator_signs_in_and_a_player_does_not(gateway: GatewayWorld, tmp_path: Path) -> None:
    execution = GraphQLExecution(open_introspection=False, suggestions=False)
    app = create_app(web_gateway(gateway, execution=execution), Readiness(), open_explorer=False, tls_only=True)
    async with listening(app) as address, open_page(f"http://{address}/graphql", tmp_path) as page:
        await page.until("document.getElementById('sign-in')")
        await page.write("#credential", token(ANN))
        await page.click("#sign-in button")
        await page.until(f"{REFUSED} === 'No operator has this credential.'")

        await page.evaluate("document.getElementById('credential').value = ''")
        await page.write("#credential", token(OPERATOR))
        await page.click("#sign-in button")
        await page.until(f"document.querySelector('{RUN}')")

        assert "Bearer" not in (kept := await page.evaluate(KEPT_BY_THE_BROWSER))
        assert token(OPERATOR)[:40] not in kept
