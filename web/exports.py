"""Files for operators."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from errors import (
    ForbiddenError,
    GatewayError,
    InvalidInputError,
    LimitReachedError,
    UnauthenticatedError,
    UnavailableError,
)
from resolvers.context import Context
from resolvers.costs import month_export
from resolvers.door import denied
from schema.faults import fault_of
from web.answers import json_answer
from web.gateway import Gateway


class Exports:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def costs(self, request: Request) -> Response:
        """GET /exports/costs?month=2026-11"""
        try:
            caller = await self._gateway.caller(request.scope)
            await self._gateway.admit(caller)
            context = self._gateway.context(caller, request.scope)
            name, lines = await self._month(context, request.query_params.get("month"))
        except UnauthenticatedError as error:
            return _fault(401, error, {"WWW-Authenticate": "Bearer"})
        except ForbiddenError as error:
            return _fault(403, error)
        except LimitReachedError as error:
            return _fault(429, error, {"Retry-After": str(math.ceil(error.retry_after_s or 1))})
        except InvalidInputError as error:
            return _fault(400, error)
        except UnavailableError as error:
            return _fault(503, error, {"Retry-After": "2"})
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(lines, headers=headers, media_type="text/csv; charset=utf-8")

    async def _month(self, context: Context, month: str | None) -> tuple[str, AsyncIterator[str]]:
        try:
            return await month_export(context, month)
        except ForbiddenError:
            await denied(context, "exportCosts")
            raise


def _fault(status: int, error: GatewayError, headers: dict[str, str] | None = None) -> Response:
    return json_answer({"errors": [fault_of(error)]}, status, headers=headers)
