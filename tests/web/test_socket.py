"""GraphQL over WebSocket, by the letter of graphql-transport-ws."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from auth.authenticator import Authenticator
from auth.callers import Caller, Role
from models.api_keys import ApiKey
from models.launches import LaunchStatus
from models.limits import SpendingLimit
from schema.execution.trusted_documents import sha256_of
from schema.ids import global_id
from tests.gateway import (
    ANN,
    BOB,
    OPERATOR,
    GatewayWorld,
    a_launch,
    an_event,
    listening,
    text_of,
    token,
    web_gateway,
)
from tests.web.conftest import ORIGIN
from web.app import create_app
from web.gateway import WebLimits
from web.health import Readiness

LAUNCH = "100000000000000001"
PROGRESS = {"query": text_of("LaunchProgress"), "variables": {"launchId": global_id("Launch", LAUNCH)}}
VIEWER = {"query": "{ viewer { id } }"}
INIT = {"type": "connection_init"}


@asynccontextmanager
async def socket(
    served: str, caller: Caller | None = ANN, protocol: str = "graphql-transport-ws"
) -> AsyncIterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {token(caller)}"} if caller else {}
    protocols = [Subprotocol(protocol)]
    async with connect(f"ws://{served}/graphql", subprotocols=protocols, additional_headers=headers) as opened:
        yield opened


@asynccontextmanager
async def acknowledged(served: str, caller: Caller = ANN) -> AsyncIterator[ClientConnection]:
    async with socket(served, caller) as opened:
        await say(opened, INIT)
        assert await hear(opened) == {"type": "connection_ack"}
        yield opened


async def say(opened: ClientConnection, message: Any) -> None:
    await opened.send(json.dumps(message))


async def subscribe(opened: ClientConnection, id: Any, payload: Any) -> None:
    await say(opened, {"type": "subscribe", "id": id, "payload": payload})


async def hear(opened: ClientConnection) -> Any:
    async with asyncio.timeout(5):
        return json.loads(await opened.recv())


async def close_code(opened: ClientConnection) -> int:
    """Of a socket that the server closes, whatever it says before."""
    with suppress(ConnectionClosed):
        async with asyncio.timeout(5):
            async for _ in opened:
                pass
    assert opened.close_code is not None
    return opened.close_code


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


class TestOperations:
    async def test_a_query_is_answered_once_and_completed(self, served: str) -> None:
        async with acknowledged(served) as opened:
            await subscribe(opened, "1", VIEWER)

            answer, end = await hear(opened), await hear(opened)

        assert (answer["type"], answer["id"], answer["payload"]["data"]) == ("next", "1", {"viewer": {"id": "ann"}})
        assert end == {"type": "complete", "id": "1"}

    async def test_a_mutation_is_answered(self, gateway: GatewayWorld, served: str) -> None:
        wish = {"query": text_of("CreateVm"), "variables": {"input": {"console": "NES"}}}
        async with acknowledged(served) as opened:
            await subscribe(opened, "m", wish)

            answer = await hear(opened)

        assert answer["payload"]["data"]["createVm"]["errors"] == []
        assert len(gateway.engine.started) == 1

    async def test_progress_is_replayed_followed_and_completed(self, gateway: GatewayWorld, served: str) -> None:
        await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.RUNNING))
        await gateway.db.insert(an_event(LAUNCH, 1))
        async with acknowledged(served) as opened:
            await subscribe(opened, "p", PROGRESS)
            heard = [await hear(opened)]

            await gateway.db.insert(an_event(LAUNCH, 2))
            heard.append(await hear(opened))
            await gateway.db.insert(an_event(LAUNCH, 3, LaunchStatus.READY))
            heard.append(await hear(opened))
            end = await hear(opened)

        assert [message["payload"]["data"]["launchProgress"]["sequence"] for message in heard] == [1, 2, 3]
        assert end == {"type": "complete", "id": "p"}

    async def test_two_gateways_tell_the_same_launch(self, gateway: GatewayWorld, served: str) -> None:
        await gateway.db.insert(a_launch(LAUNCH, status=LaunchStatus.RUNNING))
        second = create_app(web_gateway(gateway), Readiness())
        async with listening(second) as other, acknowledged(served) as here, acknowledged(other) as there:
            for opened in (here, there):
                await subscribe(opened, "p", PROGRESS)
            await until(lambda: gateway.progress.followers == 2)

            await gateway.db.insert(an_event(LAUNCH, 1, LaunchStatus.READY))

            assert await hear(here) == await hear(there)

    async def test_a_document_that_is_wrong_ends_its_operation_and_nothing_else(self, served: str) -> None:
        async with acknowledged(served) as opened:
            for name, query in {"1": "{ viewer {", "2": "{ nothing }", "3": "query A($x: Int!) { viewer }"}.items():
                await subscribe(opened, name, {"query": query})
                error = await hear(opened)
                assert (error["type"], error["id"]) == ("error", name)
                assert error["payload"][0]["extensions"]["code"]

            await subscribe(opened, "1", VIEWER)
            assert (await hear(opened))["type"] == "next"

    async def test_following_what_is_not_ones_own_is_an_error(self, gateway: GatewayWorld, served: str) -> None:
        await gateway.db.insert(a_launch(LAUNCH, "ann"))
        async with acknowledged(served, BOB) as opened:
            await subscribe(opened, "p", PROGRESS)

            error = await hear(opened)

        assert (error["type"], error["payload"][0]["extensions"]["code"]) == ("error", "NOT_FOUND")
        assert gateway.progress.followers == 0

    async def test_a_trusted_document_is_called_by_its_hash(self, served: str) -> None:
        named = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256_of(text_of("Viewer"))}}}
        async with acknowledged(served) as opened:
            await subscribe(opened, "1", named)

            assert (await hear(opened))["payload"]["data"]["viewer"] == {"id": "ann", "role": "PLAYER"}

    async def test_an_id_is_free_again_after_its_operation(self, served: str) -> None:
        async with acknowledged(served) as opened:
            for _ in range(3):
                await subscribe(opened, "same", VIEWER)
                assert [(await hear(opened))["type"] for _ in range(2)] == ["next", "complete"]

    async def test_more_operations_than_allowed_are_refused_one_by_one(
        self, gateway: GatewayWorld, served: str
    ) -> None:
        await gateway.db.insert(a_launch(LAUNCH))
        async with acknowledged(served) as opened:
            for number in range(4):
                await subscribe(opened, str(number), PROGRESS)

            error = await hear(opened)

        assert (error["type"], error["id"]) == ("error", "3")
        assert error["payload"][0]["extensions"] == {
            "code": "TOO_MANY_OPERATIONS",
            "limit": "operationsPerSocket",
            "allowed": 3,
        }


class TestLeaving:
    async def test_a_subscription_that_the_client_completes_is_over(self, gateway: GatewayWorld, served: str) -> None:
        await gateway.db.insert(a_launch(LAUNCH))
        async with acknowledged(served) as opened:
            await subscribe(opened, "p", PROGRESS)
            await until(lambda: gateway.progress.followers == 1)

            await say(opened, {"type": "complete", "id": "p"})
            await until(lambda: gateway.progress.followers == 0)
            await gateway.db.insert(an_event(LAUNCH, 1, LaunchStatus.READY))
            await say(opened, {"type": "ping"})

            assert await hear(opened) == {"type": "pong"}

    async def test_completing_what_is_not_there_changes_nothing(self, served: str) -> None:
        async with acknowledged(served) as opened:
            await say(opened, {"type": "complete", "id": "never"})
            await subscribe(opened, "1", VIEWER)

            assert (await hear(opened))["type"] == "next"

    @pytest.mark.parametrize("how", ["closed", "cut"])
    async def test_an_abandoned_socket_leaves_nothing_behind(self, gateway: GatewayWorld, how: str) -> None:
        await gateway.db.insert(a_launch(LAUNCH))
        await gateway.db.insert(an_event(LAUNCH, 1))
        app = create_app(web_gateway(gateway), Readiness())
        before = len(asyncio.all_tasks())
        async with listening(app) as served:
            async with acknowledged(served) as opened:
                for number in range(20):
                    await subscribe(opened, str(number), PROGRESS)
                assert {(await hear(opened))["type"] for _ in range(20)} == {"next"}
                assert gateway.progress.followers == 20
                assert app.state.sockets.sockets == 1
                if how == "cut":
                    opened.transport.abort()

            await until(lambda: app.state.sockets.sockets == 0)
            assert (gateway.progress.followers, gateway.progress.following) == (0, False)
        await until(lambda: len(asyncio.all_tasks()) <= before)

    async def test_a_client_that_does_not_read_is_cut_off(self, gateway: GatewayWorld) -> None:
        launch = a_launch(LAUNCH)
        await gateway.db.insert(launch)
        limits = WebLimits(send_timeout_s=0.2)
        app = create_app(web_gateway(gateway, limits=limits), Readiness())
        async with listening(app) as served, acknowledged(served) as opened:
            opened.transport.pause_reading()
            for number in range(60):
                event = an_event(LAUNCH, number + 1)
                event.message = "x" * 200_000
                await gateway.db.insert(event)
            await subscribe(opened, "p", PROGRESS)

            await until(lambda: gateway.progress.followers == 1)
            await until(lambda: app.state.sockets.sockets == 0)

            assert gateway.progress.followers == 0
            opened.transport.abort()


class TestOpening:
    @pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": {}}, {"payload": {"other": 1}}])
    async def test_credentials_may_come_with_the_upgrade(self, served: str, payload: dict[str, Any]) -> None:
        async with socket(served) as opened:
            await say(opened, {**INIT, **payload})

            assert await hear(opened) == {"type": "connection_ack"}

    async def test_credentials_may_come_with_the_opening_message(self, served: str) -> None:
        async with socket(served, None) as opened:
            await say(opened, {**INIT, "payload": {"Authorization": f"Bearer {token(BOB)}"}})
            assert await hear(opened) == {"type": "connection_ack"}
            await subscribe(opened, "1", VIEWER)

            assert (await hear(opened))["payload"]["data"] == {"viewer": {"id": "bob"}}

    @pytest.mark.parametrize("payload", [None, {}, {"Authorization": "Bearer nonsense"}, {"Authorization": 7}])
    async def test_without_good_ones_it_is_4403(self, served: str, payload: Any) -> None:
        async with socket(served, None) as opened:
            await say(opened, {**INIT, "payload": payload})

            assert await close_code(opened) == 4403

    async def test_who_says_nothing_is_4408(self, served: str) -> None:
        async with socket(served) as opened:
            assert await close_code(opened) == 4408

    async def test_who_only_pings_is_answered_and_then_4408(self, served: str) -> None:
        async with socket(served) as opened:
            await say(opened, {"type": "ping", "payload": {"n": 1}})

            assert await hear(opened) == {"type": "pong", "payload": {"n": 1}}
            assert await close_code(opened) == 4408

    async def test_who_asks_before_it_is_known_is_4401(self, gateway: GatewayWorld, served: str) -> None:
        async with socket(served) as opened:
            await subscribe(opened, "1", {"query": text_of("CreateVm"), "variables": {"input": {"console": "NES"}}})

            assert await close_code(opened) == 4401
        assert gateway.engine.started == []

    async def test_who_opens_twice_is_4429(self, served: str) -> None:
        async with acknowledged(served) as opened:
            await say(opened, INIT)

            assert await close_code(opened) == 4429

    async def test_credentials_that_end_close_the_socket(self, served: str) -> None:
        async with socket(served, None) as opened:
            brief = token(ANN, lasting_s=1)
            await say(opened, {**INIT, "payload": {"Authorization": f"Bearer {brief}"}})
            assert await hear(opened) == {"type": "connection_ack"}

            assert await close_code(opened) == 4403

    async def test_an_api_key_that_is_revoked_closes_the_socket(self, gateway: GatewayWorld) -> None:
        keys = gateway.services.api_keys
        made = await keys.create(OPERATOR, "shop", Role.SERVICE)
        door, limits = Authenticator(None, keys), WebLimits(recheck_s=0.05)
        app = create_app(web_gateway(gateway, authenticator=door, limits=limits), Readiness())
        async with listening(app) as address, socket(address, None) as opened:
            await say(opened, {**INIT, "payload": {"X-API-Key": made.secret.get_secret_value()}})
            assert await hear(opened) == {"type": "connection_ack"}

            await keys.revoke(OPERATOR, made.api_key.id)

            assert await close_code(opened) == 4403

    async def test_a_revoked_api_key_begins_nothing_more_on_a_socket(self, gateway: GatewayWorld) -> None:
        keys = gateway.services.api_keys
        made = await keys.create(OPERATOR, "shop", Role.OPERATOR)
        app = create_app(web_gateway(gateway, authenticator=Authenticator(None, keys)), Readiness())
        async with listening(app) as address, socket(address, None) as opened:
            await say(opened, {**INIT, "payload": {"X-API-Key": made.secret.get_secret_value()}})
            assert await hear(opened) == {"type": "connection_ack"}

            await keys.revoke(OPERATOR, made.api_key.id)
            mutation = 'mutation { setSpendingLimit(input: {period: DAILY, amount: "5"}) { errors { code } } }'
            await say(opened, {"id": "1", "type": "subscribe", "payload": {"query": mutation}})

            assert await close_code(opened) == 4403
        assert await gateway.db.count(SpendingLimit, {}) == 0

    async def test_an_api_key_whose_role_changes_closes_the_socket(self, gateway: GatewayWorld) -> None:
        keys = gateway.services.api_keys
        made = await keys.create(OPERATOR, "shop", Role.OPERATOR)
        door, limits = Authenticator(None, keys), WebLimits(recheck_s=0.05)
        app = create_app(web_gateway(gateway, authenticator=door, limits=limits), Readiness())
        async with listening(app) as address, socket(address, None) as opened:
            await say(opened, {**INIT, "payload": {"X-API-Key": made.secret.get_secret_value()}})
            assert await hear(opened) == {"type": "connection_ack"}

            await gateway.db.update(ApiKey, {"_id": made.api_key.id}, {"$set": {"role": Role.PLAYER}})

            assert await close_code(opened) == 4403

    @pytest.mark.parametrize("protocol", ["graphql-ws", "chat"])
    async def test_no_other_protocol_is_spoken(self, served: str, protocol: str) -> None:
        async with connect(f"ws://{served}/graphql") as without:
            assert await close_code(without) == 4406
        async with connect(f"ws://{served}/graphql", additional_headers={"Sec-WebSocket-Protocol": protocol}) as other:
            assert other.subprotocol is None
            assert await close_code(other) == 4406

    async def test_a_page_of_another_site_gets_no_socket(self, served: str) -> None:
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(f"ws://{served}/graphql", origin=Origin("https://evil.example")):
                pass

        assert refusal.value.response.status_code == 403

    @pytest.mark.parametrize("origin", [ORIGIN, "same"])
    async def test_our_own_page_and_listed_ones_get_one(self, served: str, origin: str) -> None:
        own: Any = f"http://{served}" if origin == "same" else origin
        async with connect(
            f"ws://{served}/graphql", origin=own, subprotocols=[Subprotocol("graphql-transport-ws")]
        ) as opened:
            assert opened.subprotocol == "graphql-transport-ws"


class TestBrokenMessages:
    @pytest.mark.parametrize(
        "message",
        ["", "{", "null", "[]", '"x"', "1", "{}", '{"type": 1}', '{"type": "start"}', '{"type": "pong", "payload": 1}',
         '{"type": "ping", "payload": []}', '{"type": "subscribe"}', '{"type": "subscribe", "id": "1"}',
         '{"type": "subscribe", "id": "1", "payload": null}', '{"type": "subscribe", "id": "1", "payload": {}}',
         '{"type": "subscribe", "id": "1", "payload": {"query": 1}}', '{"type": "complete"}', "[" * 2000],
    )  # fmt: skip
    async def test_they_are_4400(self, served: str, message: str) -> None:
        async with acknowledged(served) as opened:
            await opened.send(message)

            assert await close_code(opened) == 4400

    @pytest.mark.parametrize("id", [[], "", None, {}, 1, True, "x" * 300])
    async def test_an_id_that_is_no_string_is_4400(self, served: str, id: Any) -> None:
        async with acknowledged(served) as opened:
            await subscribe(opened, id, VIEWER)

            assert await close_code(opened) == 4400

    async def test_bytes_are_4400(self, served: str) -> None:
        async with acknowledged(served) as opened:
            await opened.send(b'{"type": "ping"}')

            assert await close_code(opened) == 4400

    async def test_an_id_in_use_is_4409(self, gateway: GatewayWorld, served: str) -> None:
        await gateway.db.insert(a_launch(LAUNCH))
        async with acknowledged(served) as opened:
            for _ in range(2):
                await subscribe(opened, "ü" * 200, PROGRESS)

            assert await close_code(opened) == 4409
        await until(lambda: gateway.progress.followers == 0)
