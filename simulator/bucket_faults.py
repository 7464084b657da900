"""Faults of the game bucket: its requests go the same way as TensorDock's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from simulator.faults import Api, Call, Operation
from simulator.tensordock.wire import Answer, FaultGate

PATHS: Final = ("/storage/", "/upload/storage/", "/download/storage/")
CALL: Final = Call(Operation.BUCKET, Api.GCS)


class Dialect:
    """The refusals of Google Cloud Storage."""

    api = Api.GCS

    def refusal(self, status: int, message: str) -> Answer:
        return Answer({"error": {"code": status, "message": message, "errors": []}}, status, ok=False)

    def no_capacity(self, _: Operation) -> Answer:
        return self.refusal(503, "Service Unavailable")

    def no_public_ip(self) -> Answer:
        return self.refusal(503, "Service Unavailable")

    def already_gone(self) -> Answer:
        return self.refusal(404, "Not Found")


DIALECT: Final = Dialect()


def bucket_fault_middleware(gate: FaultGate) -> Middleware:
    """Return a middleware in which faults of the bucket strike before a request is carried out."""

    @web.middleware
    async def weather(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path.startswith(PATHS) and (faulty_answer := gate.faulty_answer(request, CALL, DIALECT)):
            return faulty_answer
        return await handler(request)

    return weather
