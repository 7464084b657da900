"""The /metrics endpoint: access control, and a cache of the figures that come from the database."""

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
from web.error_responses import error_response
from web.header_limits import HeadLimits
from web.health import answer_health
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
    """Queries the records at most once in `fresh_s` seconds; returns None while they cannot be read."""

    def __init__(
        self, take: Callable[[], Awaitable[RecordMetrics]], *, fresh_s: float = 10.0, timeout_s: float = 3.0
    ) -> None:
        self._take = take
        self._fresh_s = fresh_s
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self._figures: RecordMetrics | None = None
        self._read_at = float("-inf")

    async def read(self) -> RecordMetrics | None:
        """Return the latest figures, or None if the database does not answer in time."""
        async with self._lock:
            if monotonic() - self._read_at >= self._fresh_s:
                self._figures = await self._query()
                self._read_at = monotonic()
        return self._figures

    async def _query(self) -> RecordMetrics | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._take()
        except (GatewayError, TimeoutError):
            log.warning("cannot read the records for metrics")
            return None


class MetricsPage:
    def __init__(self, metrics: Metrics, records: CachedRecordMetrics, check: Check) -> None:
        """`check` raises a GatewayError for callers that may not read metrics."""
        self.metrics = metrics
        self._records = records
        self._check = check

    async def answer(self, request: Request) -> Response:
        """Answer GET /metrics in Prometheus' text format."""
        try:
            await self._check(request)
        except GatewayError as error:
            return error_response(error)
        return Response(self.metrics.text(await self._records.read()), headers={"Content-Type": CONTENT_TYPE})


def metrics_endpoint(page: MetricsPage) -> Starlette:
    """Return the application of a worker without a gateway: /metrics and /health."""
    app = Starlette(
        routes=[Route("/health", answer_health, methods=["GET"]), Route("/metrics", page.answer, methods=["GET"])],
        middleware=[
            Middleware(SecurityHeadersMiddleware, tls_only=False),
            Middleware(RequestLoggingMiddleware, AccessLog(page.metrics.http_answered)),
            Middleware(RequestChecks, HeadLimits()),
            Middleware(UnexpectedErrors),
        ],
    )
    app.router.redirect_slashes = False
    return app


async def allow_all(_: Request) -> None:
    """Allow every request."""


def require_token(token: SecretStr | None) -> Check:
    """Return a check that requires this bearer token; without a token it refuses every request."""

    async def check(request: Request) -> None:
        if not _has_token(request, token):
            raise UnauthenticatedError("send the value of METRICS_TOKEN in the header Authorization: Bearer")

    return check


def require_token_or_staff(gateway: Gateway, token: SecretStr | None) -> Check:
    """Return a check that allows this bearer token, which needs no database, and operators and services."""

    async def check(request: Request) -> None:
        if _has_token(request, token):
            return
        caller = await gateway.authenticate_request(request.scope)
        await gateway.admit(caller)
        try:
            require(caller, "Route.metrics")
        except ForbiddenError:
            await audit_denied(gateway.new_context(caller, request.scope), "metrics")
            raise

    return check


def _has_token(request: Request, token: SecretStr | None) -> bool:
    given = request.headers.getlist("authorization")
    match = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
    if token is None or match is None:
        return False
    return hmac.compare_digest(match[1].encode(), token.get_secret_value().encode())
