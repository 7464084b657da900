"""CSV exports for operators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from errors import ForbiddenError, GatewayError
from resolvers.audit import audit_denied
from resolvers.context import Context
from resolvers.costs import month_export
from schema.ids import global_id
from web.error_responses import error_response
from web.gateway import Gateway


class Exports:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def export_costs(self, request: Request) -> Response:
        """Answer GET /exports/costs?month=2026-11 with the month's costs as CSV."""
        try:
            caller = await self._gateway.authenticate_request(request.scope)
            await self._gateway.admit(caller)
            context = self._gateway.new_context(caller, request.scope)
            name, lines = await self._month(context, request.query_params.get("month"))
        except GatewayError as error:
            return error_response(error)
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(lines, headers=headers, media_type="text/csv; charset=utf-8")

    async def _month(self, context: Context, month: str | None) -> tuple[str, AsyncIterator[str]]:
        try:
            return await month_export(context, month, partial(global_id, "VM"))
        except ForbiddenError:
            await audit_denied(context, "exportCosts")
            raise
