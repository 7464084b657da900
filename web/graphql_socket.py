"""GraphQL over WebSocket, with the protocol graphql-transport-ws only.

One object per connection. Each operation is a task in the connection's task group, so that nothing outlives the socket:
when it ends, for whatever reason, its operations are cancelled and their subscriptions closed.
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
from schema.execution.requests import GraphQLRequest, OperationKind, RequestFailedError
from schema.execution.shared_events import json_of
from tracing.spans import set_caller
from tracing.traceparent import parse_traceparent
from web.credential_recheck import rejection_reason, wait_until_revoked
from web.error_responses import error_response
from web.gateway import Gateway, time_limit_error
from web.request_parsing import RequestParseError, parse_json, parse_request

PROTOCOL: Final = "graphql-transport-ws"
_REASON_LIMIT: Final = 120  # bytes; a close frame carries 123
_ID_LIMIT: Final = 256
_RETRIES: Final = 3  # data that the system has received arrives within two rounds of the event loop
_RETRY_S: Final = 0.02
_NEXT: Final = b'{"type":"next","id":%s,"payload":%s}'


class CloseCode(IntEnum):
    """Close codes of the protocol, and of WebSocket itself."""

    TRY_AGAIN_LATER = 1013
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    CONNECTION_INITIALISATION_TIMEOUT = 4408
    SUBSCRIBER_ALREADY_EXISTS = 4409
    TOO_MANY_INITIALISATION_REQUESTS = 4429


# Clients reconnect after it with their current credentials. 4401 would end their subscriptions permanently; the
# protocol prescribes it only before the acknowledgement.
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
        """Serve one connection until it ends."""
        if not self._gateway.is_from_listed_origin(websocket.scope):
            await websocket.send_denial_response(
                error_response(ForbiddenError("requests from pages of this site are not allowed"))
            )
            return
        if PROTOCOL not in websocket.scope["subprotocols"]:
            await websocket.accept()
            await websocket.close(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, f"the only subprotocol is {PROTOCOL}")
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
        self._payload: dict[str, Any] | None = None  # of its connection_init
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
            await self._handle_message(await self._receive_in_time(init_by), tasks)

    async def _receive_in_time(self, init_by: float) -> dict[str, Any]:
        """Return the next message. `connection_init` must arrive by `init_by`; our own delay does not count."""
        if self._caller is not None:
            return await self._receive()
        try:
            async with asyncio.timeout_at(init_by):
                return await self._receive()
        except TimeoutError:
            return await self._receive_late_init()

    async def _receive_late_init(self) -> dict[str, Any]:
        """Return a `connection_init` that arrived in time but was not yet read because this process was busy."""
        for _ in range(_RETRIES):
            with suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_S):
                    message = await self._receive()
                    if message.get("type") == "connection_init":
                        return message
        raise _ClosingError(CloseCode.CONNECTION_INITIALISATION_TIMEOUT, "Connection initialisation timeout")

    async def _receive(self) -> dict[str, Any]:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        if text is None:
            raise _bad_request("a message must be text")
        try:
            content = parse_json(text)
        except RequestParseError as error:
            raise _bad_request(error.message) from None
        if not isinstance(content, dict):
            raise _bad_request("a message must be a JSON object")
        return content

    async def _handle_message(self, message: dict[str, Any], tasks: asyncio.TaskGroup) -> None:
        if not self._completes_an_operation(message):
            self._count_message()
        match message.get("type"):
            case "connection_init":
                await self._handle_connection_init(_optional_object(message), tasks)
            case "ping":
                await self._handle_ping(_optional_object(message))
            case "pong":
                _optional_object(message)
            case "subscribe":
                self._handle_subscribe(_operation_id(message), message.get("payload"), tasks)
            case "complete":
                self._handle_complete(_operation_id(message))
            case _:
                raise _bad_request("unknown message type")

    def _completes_an_operation(self, message: dict[str, Any]) -> bool:
        """Return whether a message ends an operation that runs. It was counted when it began."""
        operation_id = message.get("id")
        return message.get("type") == "complete" and isinstance(operation_id, str) and operation_id in self._operations

    def _count_message(self) -> None:
        try:
            self._messages.admit()
        except LimitReachedError as error:
            raise _ClosingError(CloseCode.TRY_AGAIN_LATER, error.message) from None

    async def _handle_connection_init(self, payload: dict[str, Any] | None, tasks: asyncio.TaskGroup) -> None:
        if self._caller is not None:
            raise _ClosingError(CloseCode.TOO_MANY_INITIALISATION_REQUESTS, "Too many initialisation requests")
        await self._gateway.services.pace.step()
        try:
            caller = await self._gateway.authenticate(self._websocket.scope, payload)
            await self._gateway.admit(caller)
            self._held.enter_context(self._gateway.hold_socket(caller))
        except UnauthenticatedError as error:
            await self._count_failure()
            raise _ClosingError(CloseCode.FORBIDDEN, error.message) from None
        except GatewayError as error:
            raise _ClosingError(CloseCode.TRY_AGAIN_LATER, error.message) from None
        self._caller, self._payload = caller, payload
        if (parent := parse_traceparent((payload or {}).get("traceparent"))) is not None:
            set_caller(parent)  # for this connection's task, which starts those of the operations
        tasks.create_task(self._watch_credentials(caller, payload))
        await self._send({"type": "connection_ack"})

    async def _handle_ping(self, payload: dict[str, Any] | None) -> None:
        await self._send({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})

    async def _watch_credentials(self, caller: Caller, payload: dict[str, Any] | None) -> None:
        reason = await wait_until_revoked(self._gateway, caller, self._websocket.scope, payload)
        raise _ClosingError(_RENEW_CREDENTIALS, reason)

    async def _count_failure(self) -> None:
        try:
            await self._gateway.count_failed_authentication(self._websocket.scope)
        except GatewayError as error:
            raise _ClosingError(CloseCode.TRY_AGAIN_LATER, error.message) from None

    def _handle_subscribe(self, operation_id: str, payload: object, tasks: asyncio.TaskGroup) -> None:
        if self._caller is None:
            raise _ClosingError(CloseCode.UNAUTHORIZED, "Unauthorized")
        if operation_id in self._operations:
            reason = f"Subscriber for {operation_id} already exists"
            raise _ClosingError(CloseCode.SUBSCRIBER_ALREADY_EXISTS, reason)
        try:
            request = parse_request(payload)
        except RequestParseError as error:
            raise _bad_request(error.message) from None
        if request.query is None and not request.extensions:
            raise _bad_request("the payload must have a query")
        if len(self._operations) < self._limits.max_operations_per_socket:
            operation = self._run(operation_id, request, self._caller)
        else:
            operation = self._send_error(operation_id, [_too_many(self._limits.max_operations_per_socket)])
        self._operations[operation_id] = tasks.create_task(operation)

    def _handle_complete(self, operation_id: str) -> None:
        operation = self._operations.pop(operation_id, None)
        if operation is not None:
            operation.cancel()

    async def _run(self, operation_id: str, request: GraphQLRequest, caller: Caller) -> None:
        if (parent := parse_traceparent((request.extensions or {}).get("traceparent"))) is not None:
            set_caller(parent)  # for this operation's task
        await self._gateway.services.pace.step()
        reason = await rejection_reason(self._gateway, caller, self._websocket.scope, self._payload)
        if reason is not None:
            raise _ClosingError(_RENEW_CREDENTIALS, reason)
        try:
            await self._gateway.admit(caller)
            async with asyncio.timeout(self._limits.max_subscription_s):
                await self._execute(operation_id, request, self._gateway.new_context(caller, self._websocket.scope))
        except RequestFailedError as error:
            await self._send_error(operation_id, error.faults)
        except GatewayError as error:
            await self._send_error(operation_id, [fault_of(error)])
        except TimeoutError:
            await self._send_error(operation_id, [time_limit_error(self._limits.max_subscription_s)])
        else:
            await self._finish(operation_id, {"type": "complete", "id": operation_id})

    async def _execute(self, operation_id: str, request: GraphQLRequest, context: Context) -> None:
        execution = self._gateway.execution
        prepared = execution.prepare(request, context)
        if prepared.kind is not OperationKind.SUBSCRIPTION:
            await self._send_result(operation_id, await execution.execute(prepared, context))
            return
        async with aclosing(await execution.subscribe(prepared, context)) as answers:
            async for answer in answers:
                await self._send_result(operation_id, answer)

    async def _send_result(self, operation_id: str, answer: dict[str, Any]) -> None:
        await self._send_json(_NEXT % (orjson.dumps(operation_id), json_of(answer)))

    async def _send_error(self, operation_id: str, faults: list[FormattedError]) -> None:
        await self._finish(operation_id, {"type": "error", "id": operation_id, "payload": faults})

    async def _finish(self, operation_id: str, message: dict[str, Any]) -> None:
        """Free the operation's id, then send its last message, unless the client has completed it already."""
        if self._operations.get(operation_id) is asyncio.current_task():
            del self._operations[operation_id]
            await self._send(message)

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self._send_json(orjson.dumps(message))

    async def _send_json(self, message: bytes) -> None:
        try:
            async with asyncio.timeout(self._limits.send_timeout_s), self._sending:
                await self._websocket.send_text(message.decode())
        except TimeoutError:
            raise _ClosingError(CloseCode.TRY_AGAIN_LATER, "the client reads too slowly") from None

    async def _close(self, closing: _ClosingError) -> None:
        reason = closing.reason.encode()[:_REASON_LIMIT].decode(errors="ignore")
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(1):
                await self._websocket.close(closing.code, reason)


def _operation_id(message: Mapping[str, Any]) -> str:
    operation_id = message.get("id")
    if not isinstance(operation_id, str) or not 0 < len(operation_id) <= _ID_LIMIT:
        raise _bad_request(f"an id must be a string of 1 to {_ID_LIMIT} characters")
    return operation_id


def _optional_object(message: Mapping[str, Any]) -> dict[str, Any] | None:
    payload = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise _bad_request("a payload must be an object")
    return payload


def _too_many(limit: int) -> FormattedError:
    message = f"a socket may have at most {limit} operations at once"
    extensions = {"code": "TOO_MANY_OPERATIONS", "limit": "operationsPerSocket", "allowed": limit}
    return {"message": message, "extensions": extensions}


def _bad_request(reason: str) -> _ClosingError:
    return _ClosingError(CloseCode.BAD_REQUEST, reason)
