"""Serves cover pictures of games to callers of the API, so that pages need no other host."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from errors import GatewayError, NotFoundError
from resolvers.catalog import cover
from web.error_responses import error_response
from web.gateway import Gateway

PATH: Final = "/covers/{console}/{game}"
# A picture's address has its generation, so a browser may keep it for long. Credentials are needed, so no other cache.
_KEPT: Final = {"Cache-Control": "private, max-age=2592000, immutable", "Vary": "Authorization, X-API-Key"}


class CoverPictures:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def answer(self, request: Request) -> Response:
        """Answer GET /covers/SNES/zelda with the picture of that game."""
        try:
            caller = await self._gateway.authenticate_request(request.scope)
            await self._gateway.admit(caller)
            context = self._gateway.new_context(caller, request.scope)
            found = await cover(context, request.path_params["console"], request.path_params["game"])
        except GatewayError as error:
            return error_response(error)
        if found is None:
            return error_response(NotFoundError("this game has no cover picture"))
        media_type, content = found
        return Response(content, headers=_KEPT, media_type=media_type)
