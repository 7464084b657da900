"""Bad days of the game bucket: its requests pass the same door as TensorDock's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from simulator.faults import Api, Call, Operation
from simulator.tensordock.wire import Answer, Door

PATHS: Final = ("/storage/", "/upload/storage/", "/download/storage/")
CALL: Final = Call(Operation.BUCKET, Api.GCS)


class Dialect:
    """Google's refusals."""

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


def bucket_weather(door: Door) -> Middleware:
    """Lets the faults that name the bucket strike its requests before they are carried out."""

    @web.middleware
    async def weather(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path.startswith(PATHS) and (spoilt := door.spoilt(request, CALL, DIALECT)):
            return spoilt
        return await handler(request)

    return weather
