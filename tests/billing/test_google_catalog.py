"""Google's real client against a catalog on loopback."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt
from google.cloud import billing_v1
from grpc import aio

from billing.google_catalog import CloudCatalog, PricedSku, part_of
from errors import ProviderBusyError, ProviderRefusedError
from tests.e2e.tls import tls_before


@dataclass
class FakeCatalog:
    """Serves `skus` in pages of `page_size`, or fails with `failure`."""

    url: str = ""
    skus: list[billing_v1.Sku] = field(default_factory=list)
    page_size: int = 2
    failure: grpc.StatusCode | None = None
    garbage: bytes | None = None
    requests: list[billing_v1.ListSkusRequest] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    def written(self, answer: billing_v1.ListSkusResponse) -> bytes:
        return self.garbage or bytes(billing_v1.ListSkusResponse.serialize(answer))

    async def list_skus(self, request: billing_v1.ListSkusRequest, context: Any) -> billing_v1.ListSkusResponse:
        self.requests.append(request)
        self.authorizations += [value for key, value in context.invocation_metadata() if key == "authorization"]
        if self.failure is not None:
            await context.abort(self.failure, "no, and here is a canary-secret")
        first = int(request.page_token or "0")
        last = first + self.page_size
        token = str(last) if last < len(self.skus) else ""
        return billing_v1.ListSkusResponse(skus=self.skus[first:last], next_page_token=token)


@pytest.fixture
async def google() -> AsyncIterator[FakeCatalog]:
    fake = FakeCatalog()
    method = grpc.unary_unary_rpc_method_handler(
        fake.list_skus,
        request_deserializer=billing_v1.ListSkusRequest.deserialize,
        response_serializer=fake.written,
    )
    service = "google.cloud.billing.v1.CloudCatalog"
    server = aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"ListSkus": method}),))
    fake.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield fake
    await server.stop(None)


def sku(description: str, *usd_tiers: tuple[int, int], regions: Iterable[str] = ("us-central1",)) -> billing_v1.Sku:
    """A G2 core by its category; each tier is (dollars, nanodollars)."""
    old = billing_v1.PricingInfo(pricing_expression=expression([(9, 0)]))
    new = billing_v1.PricingInfo(pricing_expression=expression(usd_tiers))
    category = billing_v1.Category(resource_family="Compute", resource_group="CPU", usage_type="OnDemand")
    return billing_v1.Sku(
        description=description, category=category, service_regions=list(regions), pricing_info=[old, new]
    )


def expression(usd_tiers: Iterable[tuple[int, int]]) -> billing_v1.PricingExpression:
    tiers = [
        billing_v1.PricingExpression.TierRate(unit_price={"currency_code": "USD", "units": units, "nanos": nanos})
        for units, nanos in usd_tiers
    ]
    return billing_v1.PricingExpression(usage_unit="h", tiered_rates=tiers)


async def test_all_pages_are_read_with_the_newest_price_to_the_last_nanodollar(google: FakeCatalog) -> None:
    google.skus = [
        sku("G2 Instance Core running in Americas", (0, 24_988_001)),
        sku("G2 Instance Core running in Belgium", (0, 0), (1, 500_000_000), regions=("europe-west1",)),
        sku("Something free", (0, 0)),
    ]

    found = [one async for one in CloudCatalog(google.url).skus()]

    assert [(one.description, one.regions, one.usd_per_unit) for one in found] == [
        ("G2 Instance Core running in Americas", ("us-central1",), Decimal("0.024988001")),
        ("G2 Instance Core running in Belgium", ("europe-west1",), Decimal("1.5")),
        ("Something free", ("us-central1",), None),
    ]
    assert (found[0].family, found[0].group, found[0].usage_type, found[0].unit) == ("Compute", "CPU", "OnDemand", "h")
    assert [request.page_token for request in google.requests] == ["", "2"]
    assert google.requests[0].parent == "services/6F81-5844-456A"


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, ProviderRefusedError),
        (grpc.StatusCode.UNAUTHENTICATED, ProviderRefusedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ProviderBusyError),
        (grpc.StatusCode.UNAVAILABLE, ProviderBusyError),
        (grpc.StatusCode.INTERNAL, ProviderBusyError),
    ],
)
async def test_googles_errors_become_ours_without_their_words(
    google: FakeCatalog, failure: grpc.StatusCode, kind: type[Exception]
) -> None:
    google.failure = failure

    with pytest.raises(kind) as raised:
        [one async for one in CloudCatalog(google.url).skus()]

    assert "canary" not in str(raised.value)


async def test_nobody_there_is_busy() -> None:
    with pytest.raises(ProviderBusyError):
        [one async for one in CloudCatalog("http://127.0.0.1:1").skus()]


async def test_what_nobody_can_read_is_busy(google: FakeCatalog) -> None:
    google.garbage = b"\xff\xff no message"

    with pytest.raises(ProviderBusyError, match="no usable response"):
        [one async for one in CloudCatalog(google.url).skus()]


async def test_an_address_with_tls_is_asked_with_the_key_file_of_the_settings(
    google: FakeCatalog, tmp_path: Path
) -> None:
    google.skus = [sku("G2 Instance Core running in Americas", (0, 24_988_001))]
    async with tls_before(google.url.removeprefix("http://"), tmp_path) as host:
        (tmp_path / "key.json").write_text(json.dumps(service_account()))
        program = (
            "import asyncio, pathlib; from billing.google_catalog import CloudCatalog\n"
            f"catalog = CloudCatalog('https://{host}/', pathlib.Path('{tmp_path}/key.json'))\n"
            "async def main(): print([one.description async for one in catalog.skus()])\n"
            "asyncio.run(main())"
        )
        reader = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program),
            env={"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(tmp_path / "ca.pem"), "PYTHONPATH": "."},
            stdout=subprocess.PIPE,
        )
        printed, _ = await reader.communicate()

    assert printed == b"['G2 Instance Core running in Americas']\n"
    (bearer,) = google.authorizations
    assert jwt.decode(bearer.removeprefix("Bearer "), verify=False)["iss"] == "prices@example.com"


@pytest.mark.parametrize("content", ["", "[]", '{"type": "service_account"}', '{"type": "authorized_user"}'])
async def test_a_key_file_that_is_none_is_refused_by_its_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)

    with pytest.raises(ProviderRefusedError, match=r"key\.json"):
        [one async for one in CloudCatalog("https://localhost:1", path).skus()]


def service_account() -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    about = {"type": "service_account", "client_email": "prices@example.com", "private_key": pem}
    return about | {"token_uri": "http://127.0.0.1:1/token"}


def test_googles_library_is_not_imported_before_the_catalog_is_read() -> None:
    program = (
        "import sys, billing.google_prices, billing.google_catalog;"
        "sys.exit(any(name.startswith(('google.cloud', 'grpc')) for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def priced(description: str, **changes: Any) -> PricedSku:
    facts = {"family": "Compute", "group": "CPU", "usage_type": "OnDemand", "unit": "h"} | changes
    return PricedSku(description=description, regions=("us-central1",), usd_per_unit=Decimal("0.02"), **facts)


@pytest.mark.parametrize(
    ("sku_", "part"),
    [
        (priced("G2 Instance Core running in Americas"), "vcpu:g2-standard"),
        (priced("G2 Instance Ram running in Americas", group="RAM", unit="GiBy.h"), "gib:g2-standard"),
        (priced("N1 Predefined Instance Core running in Americas", group="N1Standard"), "vcpu:n1-standard"),
        (priced("N1 Predefined Instance Ram running", group="N1Standard", unit="GiBy.h"), "gib:n1-standard"),
        (priced("Nvidia L4 GPU running in Americas", group="GPU"), "gpu:nvidia-l4"),
        (priced("Nvidia Tesla T4 GPU running in Americas", group="GPU"), "gpu:nvidia-tesla-t4"),
        (priced("Balanced PD Capacity", family="Storage", group="SSD", unit="GiBy.mo"), "disk:pd-balanced"),
        (priced("Regional Balanced PD Capacity", family="Storage", group="SSD", unit="GiBy.mo"), None),
        (priced("Hyperdisk Balanced Capacity", family="Storage", group="SSD", unit="GiBy.mo"), None),
        (
            priced("Spot Preemptible G2 Instance Core running in Americas", usage_type="Preemptible"),
            "spot:vcpu:g2-standard",
        ),
        (priced("G2 Instance Core running in Americas", usage_type="Commit1Yr"), None),
        (priced("G2 Instance Core Sole Tenancy in Americas"), None),
        (priced("G2 Custom Instance Core in Americas"), None),
        (priced("Nvidia L4 GPU running in Americas (DWS Calendar Mode)", group="GPU"), None),
        (priced("G2 Instance Core running in Americas", unit="mo"), None),
        (priced("N2 Instance Core running in Americas"), None),
    ],
)
def test_only_what_is_beyond_doubt_prices_a_part(sku_: PricedSku, part: str | None) -> None:
    assert part_of(sku_) == part
