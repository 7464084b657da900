"""/metrics: who may read it, and how often the records are asked."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth.authorization import require
from errors import ForbiddenError, GatewayError, UnauthenticatedError
from resolvers.audit import audit_denied
from resolvers.record_metrics import RecordMetrics
from web.access_log import AccessLog
from web.error_responses import turned_away
from web.header_limits import HeadLimits
from web.health import alive
from web.metrics import CONTENT_TYPE, Metrics
from web.request_checks import RequestChecks
from web.request_logging import RequestLoggingMiddleware
from web.security_headers import SecurityHeadersMiddleware
from web.unexpected_errors import UnexpectedErrors

if TYPE_CHECKING:
    from web.gateway import Gateway

log = logging.getLogger(__name__)

Check = Callable[[Request], Awaitable[None]]
_BEARER: Final = re.compile(r"bearer ([\x21-\x7e]+)", re.ASCII | re.IGNORECASE)


class CachedRecordMetrics:
    """Taken once in some seconds, however many ask; None while the records cannot be read."""

    def __init__(
        self, take: Callable[[], Awaitable[RecordMetrics]], *, fresh_s: float = 10.0, patience_s: float = 3.0
    ) -> None:
        self._take = take
        self._fresh_s = fresh_s
        self._patience_s = patience_s
        self._asking = asyncio.Lock()
        self._census: RecordMetrics | None = None
        self._taken_at = float("-inf")

    async def read(self) -> RecordMetrics | None:
        async with self._asking:
            if monotonic() - self._taken_at >= self._fresh_s:
                self._census = await self._taken()
                self._taken_at = monotonic()
        return self._census

    async def _taken(self) -> RecordMetrics | None:
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._take()
        except (GatewayError, TimeoutError):
            log.warning("the records cannot be read for the metrics")
            return None


class MetricsPage:
    def __init__(self, metrics: Metrics, census: CachedRecordMetrics, check: Check) -> None:
        """`check` raises a GatewayError for who may not read."""
        self.metrics = metrics
        self._census = census
        self._check = check

    async def answer(self, request: Request) -> Response:
        try:
            await self._check(request)
        except GatewayError as error:
            return turned_away(error)
        return Response(self.metrics.text(await self._census.read()), headers={"Content-Type": CONTENT_TYPE})


def metrics_endpoint(page: MetricsPage) -> Starlette:
    """For a process that answers no clients."""
    app = Starlette(
        routes=[Route("/health", alive, methods=["GET"]), Route("/metrics", page.answer, methods=["GET"])],
        middleware=[
            Middleware(SecurityHeadersMiddleware, tls_only=False),
            Middleware(RequestLoggingMiddleware, AccessLog(page.metrics.http_answered)),
            Middleware(RequestChecks, HeadLimits()),
            Middleware(UnexpectedErrors),
        ],
    )
    app.router.redirect_slashes = False
    return app


async def everybody(_: Request) -> None:
    """Lets all in."""


def bearers_of(token: SecretStr | None) -> Check:
    """Lets in who sends this token; nobody, when there is none."""

    async def check(request: Request) -> None:
        if not _bears(request, token):
            raise UnauthenticatedError("the token of METRICS_TOKEN is needed: Authorization: Bearer")

    return check


def staff(gateway: Gateway, token: SecretStr | None) -> Check:
    """Lets in who sends this token, which needs no database; and operators and services with their own credentials."""

    async def check(request: Request) -> None:
        if _bears(request, token):
            return
        caller = await gateway.visitor(request.scope)
        await gateway.admit(caller)
        try:
            require(caller, "Route.metrics")
        except ForbiddenError:
            await audit_denied(gateway.context(caller, request.scope), "metrics")
            raise

    return check


def _bears(request: Request, token: SecretStr | None) -> bool:
    given = request.headers.getlist("authorization")
    match = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
    if token is None or match is None:
        return False
    return hmac.compare_digest(match[1].encode(), token.get_secret_value().encode())
