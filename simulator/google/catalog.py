"""Google's Cloud Billing Catalog over gRPC, for Google's own client: Compute Engine and its SKUs in pages.

gRPC is imported when the server starts, and Google's messages with the first request, each in a thread: together they
take half a second and 50 MB, which a world without requests for prices need not pay.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import socket
from collections.abc import Callable
from typing import Any, Final

from simulator.google.skus import Listed, listed
from simulator.state import StateFile

SERVICE: Final = "google.cloud.billing.v1.CloudCatalog"
COMPUTE_ENGINE: Final = "services/6F81-5844-456A"
# Google's limit is 5000, for a hundred times as many SKUs. With less, clients have to turn pages here too.
PAGE_LIMIT: Final = 200
LAST_WORDS_S: Final = 0.5


class BillingCatalog:
    """A server between `start` and `close`. The next run takes its port again if it can."""

    def __init__(self, host: str, state: StateFile) -> None:
        self._host = host
        self._state = state
        self._port = 0
        self._server: Any = None

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Start the server. Raises DamagedStateError when the port of the earlier run cannot be read."""
        known = int((self._state.load() or {}).get("port", 0))
        grpc = await asyncio.to_thread(importlib.import_module, "grpc.aio")
        # Two simulations must not share a port, as gRPC would let them.
        self._server = grpc.server(options=(("grpc.so_reuseport", 0),))
        self._server.add_generic_rpc_handlers((_handlers(),))
        port = known if _is_free(self._host, known) else 0
        self._port = self._server.add_insecure_port(f"{self._host}:{port}")
        self._state.save({"port": self._port})
        await self._server.start()

    async def close(self) -> None:
        """Stop the server. May be called without a start."""
        if self._server is not None:
            await self._server.stop(LAST_WORDS_S)


class RequestError(Exception):
    """`code` is the name of gRPC's status."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _handlers() -> Any:
    import grpc  # noqa: PLC0415 - slow to load

    def method(answer: Callable[[bytes], bytes]) -> Any:
        async def answered(request: bytes, context: Any) -> bytes:
            try:
                return await asyncio.to_thread(answer, request)
            except RequestError as error:
                await context.abort(grpc.StatusCode[error.code], str(error))
                raise

        # Without a serializer the bytes come as they are.
        return grpc.unary_unary_rpc_method_handler(answered)

    return grpc.method_handlers_generic_handler(SERVICE, {"ListServices": method(services), "ListSkus": method(skus)})


def services(_: bytes) -> bytes:
    """Return the one service that the catalog lists."""
    from google.cloud import billing_v1  # noqa: PLC0415 - slow to load

    compute = {
        "name": COMPUTE_ENGINE,
        "service_id": COMPUTE_ENGINE.removeprefix("services/"),
        "display_name": "Compute Engine",
        "business_entity_name": "businessEntities/GCP",
    }
    return bytes(billing_v1.ListServicesResponse.serialize(billing_v1.ListServicesResponse(services=[compute])))


def skus(raw: bytes) -> bytes:
    """Return the page of a ListSkusRequest. Blocks, the first time for half a second."""
    from google.cloud import billing_v1  # noqa: PLC0415 - slow to load

    request = billing_v1.ListSkusRequest.deserialize(raw)
    if request.parent != COMPUTE_ENGINE:
        raise RequestError("NOT_FOUND", f"Service {request.parent} not found.")
    if request.currency_code not in ("", "USD"):
        raise RequestError("INVALID_ARGUMENT", "This catalog knows prices in USD only.")
    first, last = _page(request.page_size, request.page_token)
    page = [_message(sku, regions) for sku, regions in listed()[first:last]]
    token = str(last) if last < len(listed()) else ""
    return bytes(billing_v1.ListSkusResponse.serialize(billing_v1.ListSkusResponse(skus=page, next_page_token=token)))


def _page(size: int, token: str) -> tuple[int, int]:
    """Return the bounds of a page. A token is the number of its first SKU."""
    if size < 0:
        raise RequestError("INVALID_ARGUMENT", "page_size must not be negative.")
    if token and not (token.isascii() and token.isdigit() and len(token) < 10):
        raise RequestError("INVALID_ARGUMENT", "page_token is not one of this catalog's.")
    first = int(token or 0)
    return first, first + min(size or PAGE_LIMIT, PAGE_LIMIT)


def _message(sku: Listed, regions: tuple[str, ...]) -> dict[str, Any]:
    digest = hashlib.sha256(f"{sku.description} {regions}".encode()).hexdigest().upper()
    sku_id = f"{digest[:4]}-{digest[4:8]}-{digest[8:12]}"
    free = [_tier(0, 0)] if sku.free_units else []
    expression = {
        "usage_unit": sku.unit,
        "display_quantity": 1,
        "tiered_rates": [*free, _tier(sku.free_units, int(sku.usd.scaleb(9)))],
    }
    return {
        "name": f"{COMPUTE_ENGINE}/skus/{sku_id}",
        "sku_id": sku_id,
        "description": sku.description,
        "category": {
            "service_display_name": "Compute Engine",
            "resource_family": sku.family,
            "resource_group": sku.group,
            "usage_type": sku.usage_type,
        },
        "service_regions": regions,
        "pricing_info": [{"pricing_expression": expression, "currency_conversion_rate": 1}],
        "service_provider_name": "Google",
    }


def _tier(start: int, nanodollars: int) -> dict[str, Any]:
    units, nanos = divmod(nanodollars, 10**9)
    return {"start_usage_amount": start, "unit_price": {"currency_code": "USD", "units": units, "nanos": nanos}}


def _is_free(host: str, port: int) -> bool:
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True
