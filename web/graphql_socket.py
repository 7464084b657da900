"""GraphQL over WebSocket, protocol graphql-transport-ws and no other.

One object per connection. Each operation is a task of the connection's group, so that nothing outlives the socket:
whatever ends it, cancels them, and that closes their subscriptions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack, aclosing, suppress
from enum import IntEnum
from typing import Any, Final

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from auth.callers import Caller
from auth.rate_limits import MessageRate
from errors import ForbiddenError, GatewayError, LimitReachedError, UnauthenticatedError
from resolvers.context import Context
from schema.execution.errors import FormattedError, fault_of
from schema.execution.executor import GraphQLRequest, OperationKind, RequestFailedError
from web.credential_recheck import rejection_reason, wait_until_revoked
from web.error_responses import turned_away
from web.gateway import Gateway, lasted_too_long
from web.request_parsing import RequestParseError, decoded, request_from

PROTOCOL: Final = "graphql-transport-ws"
_REASON_LIMIT: Final = 120  # bytes; a close frame carries 123
_ID_LIMIT: Final = 256
_LOOKS: Final = 3  # what the system has received gets to us within two rounds of the event loop
_LOOK_S: Final = 0.02


class CloseCode(IntEnum):
    """Those of the protocol, and of WebSocket itself."""

    TRY_AGAIN_LATER = 1013
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    CONNECTION_INITIALISATION_TIMEOUT = 4408
    SUBSCRIBER_ALREADY_EXISTS = 4409
    TOO_MANY_INITIALISATION_REQUESTS = 4429


# Clients connect again after it, with the credentials that they have then. 4401 would end their subscriptions for good;
# the protocol prescribes it before the acknowledgement only.
_RENEW_CREDENTIALS: Final = CloseCode.FORBIDDEN


class _ClosingError(Exception):
    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class GraphQLOverWebSocket:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.sockets = 0  # open now

    async def serve(self, websocket: WebSocket) -> None:
        if not self._gateway.is_of_listed_origin(websocket.scope):
            await websocket.send_denial_response(turned_away(ForbiddenError("pages of this site may not ask")))
            return
        if PROTOCOL not in websocket.scope["subprotocols"]:
            await websocket.accept()
            await websocket.close(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, f"only {PROTOCOL} is spoken here")
            return
        await websocket.accept(PROTOCOL)
        self.sockets += 1
        try:
            await _Connection(websocket, self._gateway).serve()
        finally:
            self.sockets -= 1


class _Connection:
    def __init__(self, websocket: WebSocket, gateway: Gateway) -> None:
        self._websocket = websocket
        self._gateway = gateway
        self._limits = gateway.limits
        self._caller: Caller | None = None
        self._payload: dict[str, Any] | None = None  # with which it became known
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._messages = MessageRate(gateway.limits.max_messages_per_minute)
        self._held = ExitStack()
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._listen(tasks)
        except* _ClosingError as group:
            closing = group.exceptions[0]
            assert isinstance(closing, _ClosingError)
            await self._close(closing)
        except* WebSocketDisconnect:
            pass
        finally:
            self._held.close()

    async def _listen(self, tasks: asyncio.TaskGroup) -> None:
        init_by = asyncio.get_running_loop().time() + self._limits.connection_init_timeout_s
        while True:
            await self._handle(await self._awaited(init_by), tasks)

    async def _awaited(self, init_by: float) -> dict[str, Any]:
        """Return the next message. The client has to be known by `init_by`; how long that takes us does not count."""
        if self._caller is not None:
            return await self._received()
        try:
            async with asyncio.timeout_at(init_by):
                return await self._received()
        except TimeoutError:
            return await self._late_init()

    async def _late_init(self) -> dict[str, Any]:
        """Look once more for an opening message that came in time and waited for this process, which was busy."""
        for _ in range(_LOOKS):
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    message = await self._received()
                    if message.get("type") == "connection_init":
                        return message
        raise _ClosingError(CloseCode.CONNECTION_INITIALISATION_TIMEOUT, "Connection initialisation timeout")

    async def _received(self) -> dict[str, Any]:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        if text is None:
            raise _bad("messages are text")
        try:
            content = decoded(text)
        except RequestParseError as error:
            raise _bad(error.message) from None
        if not isinstance(content, dict):
            raise _bad("a message is a JSON object")
        return content

    async def _handle(self, message: dict[str, Any], tasks: asyncio.TaskGroup) -> None:
        try:
            self._messages.admit()
        except LimitReachedError as error:
            raise _ClosingError(CloseCode.TRY_AGAIN_LATER, error.message) from None
        match message.get("type"):
            case "connection_init":
                await self._initialise(_optional_object(message), tasks)
            case "ping":
                payload = _optional_object(message)
                await self._send({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})
            case "pong":
                _optional_object(message)
            case "subscribe":
                self._begin(_operation_id(message), message.get("payload"), tasks)
            case "complete":
                self._cancel(_operation_id(message))
            case _:
                raise _bad("a message of this type is not known")

    async def _initialise(self, payload: dict[str, Any] | None, tasks: asyncio.TaskGroup) -> None:
        if self._caller is not None:
            raise _ClosingError(CloseCode.TOO_MANY_INITIALISATION_REQUESTS, "Too many initialisation requests")
        await self._gateway.services.pace.step()
        try:
            caller = await self._gateway.caller(self._websocket.scope, payload)
            await self._gateway.admit(caller)
            self._held.enter_context(self._gateway.socket_of(caller))
        except UnauthenticatedError as error:
            await self._count_stranger()
            raise _ClosingError(CloseCode.FORBIDDEN, error.message) from None
        except GatewayError as error:
            raise _ClosingError(CloseCode.TRY_AGAIN_LATER, error.message) from None
        self._caller, self._payload = caller, payload
        tasks.create_task(self._watch_credentials(caller, payload))
        await self._send({"type": "connection_ack"})

    async def _watch_credentials(self, caller: Caller, payload: dict[str, Any] | None) -> None:
        reason = await wait_until_revoked(self._gateway, caller, self._websocket.scope, payload)
        raise _ClosingError(_RENEW_CREDENTIALS, reason)

    async def _count_stranger(self) -> None:
        try:
            await self._gateway.admit_stranger(self._websocket.scope)
        except GatewayError as error:
            raise _ClosingError(CloseCode.TRY_AGAIN_LATER, error.message) from None

    def _begin(self, operation_id: str, payload: object, tasks: asyncio.TaskGroup) -> None:
        if self._caller is None:
            raise _ClosingError(CloseCode.UNAUTHORIZED, "Unauthorized")
        if operation_id in self._operations:
            reason = f"Subscriber for {operation_id} already exists"
            raise _ClosingError(CloseCode.SUBSCRIBER_ALREADY_EXISTS, reason)
        try:
            request = request_from(payload)
        except RequestParseError as error:
            raise _bad(error.message) from None
        if request.query is None and not request.extensions:
            raise _bad("the payload needs a query")
        if len(self._operations) < self._limits.max_operations_per_socket:
            operation = self._run(operation_id, request, self._caller)
        else:
            operation = self._fail(operation_id, [_too_many(self._limits.max_operations_per_socket)])
        self._operations[operation_id] = tasks.create_task(operation)

    def _cancel(self, operation_id: str) -> None:
        operation = self._operations.pop(operation_id, None)
        if operation is not None:
            operation.cancel()

    async def _run(self, operation_id: str, request: GraphQLRequest, caller: Caller) -> None:
        await self._gateway.services.pace.step()
        why_not = await rejection_reason(self._gateway, caller, self._websocket.scope, self._payload)
        if why_not is not None:
            raise _ClosingError(_RENEW_CREDENTIALS, why_not)
        try:
            await self._gateway.admit(caller)
            async with asyncio.timeout(self._limits.max_subscription_s):
                await self._answer(operation_id, request, self._gateway.context(caller, self._websocket.scope))
        except RequestFailedError as error:
            await self._fail(operation_id, error.faults)
        except GatewayError as error:
            await self._fail(operation_id, [fault_of(error)])
        except TimeoutError:
            await self._fail(operation_id, [lasted_too_long(self._limits.max_subscription_s)])
        else:
            await self._finish(operation_id, {"type": "complete", "id": operation_id})

    async def _answer(self, operation_id: str, request: GraphQLRequest, context: Context) -> None:
        execution = self._gateway.execution
        prepared = execution.prepare(request, context)
        if prepared.kind is not OperationKind.SUBSCRIPTION:
            await self._next(operation_id, await execution.execute(prepared, context))
            return
        async with aclosing(await execution.subscribe(prepared, context)) as answers:
            async for answer in answers:
                await self._next(operation_id, answer)

    async def _next(self, operation_id: str, answer: dict[str, Any]) -> None:
        await self._send({"type": "next", "id": operation_id, "payload": answer})

    async def _fail(self, operation_id: str, faults: list[FormattedError]) -> None:
        await self._finish(operation_id, {"type": "error", "id": operation_id, "payload": faults})

    async def _finish(self, operation_id: str, message: dict[str, Any]) -> None:
        """The id is free again before the client hears so; a client that completed first hears nothing."""
        if self._operations.get(operation_id) is asyncio.current_task():
            del self._operations[operation_id]
            await self._send(message)

    async def _send(self, message: Mapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(self._limits.send_timeout_s), self._sending:
                await self._websocket.send_text(orjson.dumps(message).decode())
        except TimeoutError:
            raise _ClosingError(CloseCode.TRY_AGAIN_LATER, "messages are read too slowly") from None

    async def _close(self, closing: _ClosingError) -> None:
        reason = closing.reason.encode()[:_REASON_LIMIT].decode(errors="ignore")
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(1):
                await self._websocket.close(closing.code, reason)


def _operation_id(message: Mapping[str, Any]) -> str:
    operation_id = message.get("id")
    if not isinstance(operation_id, str) or not 0 < len(operation_id) <= _ID_LIMIT:
        raise _bad(f"an id is a string of 1 to {_ID_LIMIT} characters")
    return operation_id


def _optional_object(message: Mapping[str, Any]) -> dict[str, Any] | None:
    payload = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise _bad("a payload is an object")
    return payload


def _too_many(limit: int) -> FormattedError:
    message = f"a socket may have at most {limit} operations at once"
    extensions = {"code": "TOO_MANY_OPERATIONS", "limit": "operationsPerSocket", "allowed": limit}
    return {"message": message, "extensions": extensions}


def _bad(reason: str) -> _ClosingError:
    return _ClosingError(CloseCode.BAD_REQUEST, reason)
