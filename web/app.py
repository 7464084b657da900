"""The service as an ASGI application: routes, middleware and CORS."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from web import console, covers, graphiql, rest_explorer
from web.access_log import REQUEST_ID, AccessLog
from web.content_negotiation import MULTIPART
from web.exports import Exports
from web.gateway import Gateway
from web.graphql_http import GraphQLOverHTTP
from web.graphql_socket import GraphQLOverWebSocket
from web.health import Readiness, answer_health
from web.metrics_endpoint import MetricsPage
from web.origins import LOOPBACK_ORIGIN, normal_origin
from web.proxies import ProxyHeaders
from web.request_checks import RequestChecks
from web.request_logging import RequestLoggingMiddleware
from web.responses import json_answer
from web.rest import rest_routes
from web.security_headers import SecurityHeadersMiddleware
from web.trailing_slash import TrailingSlash
from web.unexpected_errors import UnexpectedErrors

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]

_CREDENTIALS: Final = ("Authorization", "X-API-Key")
# Headers that tracing libraries add to a page's requests (W3C, Sentry, Google, Zipkin, Jaeger, Datadog, New Relic,
# Elastic, AWS), and headers that GraphQL clients add. None of them changes what the service does.
_TRACING: Final = (
    *("traceparent", "tracestate", "baggage", "sentry-trace", "X-Cloud-Trace-Context", "X-Amzn-Trace-Id"),
    *("b3", "X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled", "X-B3-Flags", "uber-trace-id"),
    *("X-Datadog-Trace-Id", "X-Datadog-Parent-Id", "X-Datadog-Origin", "X-Datadog-Sampling-Priority", "X-Datadog-Tags"),
    *("newrelic", "elastic-apm-traceparent", "X-Correlation-ID"),
)
_CLIENTS: Final = (
    *("apollographql-client-name", "apollographql-client-version", "apollo-require-preflight"),
    *("X-Apollo-Operation-Name", "X-Apollo-Operation-Id", "X-Apollo-Operation-Type", "X-Apollo-Cache-Key"),
    *("GraphQL-Preflight", "GraphQL-Require-Preflight", "GraphQL-Client-Name", "GraphQL-Client-Version"),
    *("X-Requested-With", "Cache-Control", "Pragma"),
)

# Below that, compression costs more of the processor than it saves of a player's line.
_COMPRESSED_FROM: Final = 8 * 1024  # bytes
_COMPRESSION_LEVEL: Final = 1


def create_app(
    gateway: Gateway,
    readiness: Readiness,
    *,
    explorer: bool = True,
    open_explorer: bool = True,
    tls_only: bool = False,
    metrics: MetricsPage | None = None,
    routes: Sequence[BaseRoute] = (),
    lifespan: Lifespan | None = None,
) -> Starlette:
    """Build the application; nothing is opened or started here.

    `explorer` serves GraphiQL: to operators only, unless `open_explorer` is set. `tls_only` adds HSTS. Without
    `metrics` there is no metrics endpoint. `routes` are added after our own.
    """
    http = GraphQLOverHTTP(gateway, explorer=explorer, for_operators=not open_explorer)
    socket = GraphQLOverWebSocket(gateway)
    cors = _cors(gateway.cors_origins, loopback=gateway.allows_loopback_origins)
    app = Starlette(
        routes=[
            Route("/", _root(gateway.services.version), methods=["GET"]),
            Route("/health", answer_health, methods=["GET"]),
            Route("/ready", readiness.answer, methods=["GET"]),
            Route("/graphql", http.answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
            WebSocketRoute("/graphql", socket.serve),
            Route("/exports/costs", Exports(gateway).export_costs, methods=["GET"]),
            Route(covers.PATH, covers.CoverPictures(gateway).answer, methods=["GET"]),
            *rest_routes(gateway),
            *([Route("/metrics", metrics.answer, methods=["GET"])] if metrics else ()),
            *console.routes(probe.url for probe in gateway.services.rtt_probes),
            *(graphiql.routes() if explorer else ()),
            *rest_explorer.routes(gateway.services.version, page=explorer and open_explorer),
            *routes,
        ],
        middleware=[
            Middleware(ProxyHeaders, gateway.proxies),
            Middleware(SecurityHeadersMiddleware, tls_only=tls_only),
            Middleware(RequestLoggingMiddleware, AccessLog(metrics.metrics.http_answered if metrics else None)),
            Middleware(TrailingSlash),
            Middleware(RequestChecks, gateway.limits.heads, cors),
            Middleware(cors),
            Middleware(
                GZipMiddleware,
                minimum_size=_COMPRESSED_FROM,
                compresslevel=_COMPRESSION_LEVEL,
                exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, MULTIPART),
            ),
            Middleware(UnexpectedErrors),
        ],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.sockets = socket
    app.state.stopping = gateway.stopping
    if metrics is not None:
        metrics.metrics.sockets_are(lambda: socket.sockets)
    return app


def _cors(origins: Sequence[str], *, loopback: bool) -> Callable[[ASGIApp], ASGIApp]:
    return partial(
        CORSMiddleware,
        allow_origins=list(map(normal_origin, origins)),
        allow_origin_regex=LOOPBACK_ORIGIN if loopback else None,
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=[*_CREDENTIALS, *_TRACING, *_CLIENTS, REQUEST_ID, "Last-Event-ID"],
        expose_headers=[REQUEST_ID, "Retry-After", "ETag"],
    )


def _root(version: str) -> Callable[[Request], Awaitable[Response]]:
    async def root(request: Request) -> Response:
        if console.wants_page(request):
            return console.redirect()
        return json_answer({"message": "Gamer Provisioner API", "version": version}, headers={"Vary": "Accept"})

    return root


def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).name
    content = {"message": error.detail, "errors": [{"code": code, "message": error.detail}]}
    return json_answer(content, error.status_code, headers=error.headers)
