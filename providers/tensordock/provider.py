"""The TensorDock provider: version 2 of its API for machines, version 0 for the balance."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from errors import ProviderBusyError, ProviderError, ProviderRefusedError
from providers.base import (
    Machine,
    MachineId,
    Offer,
    OrderPermit,
    Place,
    ProgressCallback,
    ProviderHealth,
    ProviderName,
    Shape,
    Site,
    Tag,
    always_permit,
    no_progress,
)
from providers.http import Http
from providers.single_flight import Depart, SingleFlight
from providers.tags import PREFIX
from providers.tensordock import offers, parse
from providers.tensordock.balance import AccountBalance, can_order_with
from providers.tensordock.client import TensorDockClient
from providers.tensordock.cloud_init import parse_public_key
from providers.tensordock.instances import Instances
from providers.tensordock.operations import Operation
from providers.tensordock.order_placement import OrderPlacement
from providers.tensordock.responses import ResponseReader

_TAG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
_LEAVE_WITHIN_S: Final = 5.0
_ORDER_TIMEOUT_S: Final = 60.0
DEFAULT_IMAGE: Final = "ubuntu2404_ml_pytorch"  # with an NVIDIA driver inside
# Seconds after its recorded time for which an order may be under way: it is sent late, and its response takes long.
ORDERS_UNDER_WAY_S: Final = _LEAVE_WITHIN_S + _ORDER_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class TensorDockOptions:
    """One TensorDock account and its options. The token is enough; the key adds the balance.

    `ssh_public_key` is installed on every new machine; without it nothing is ordered. `settle_s` is how long the list
    of machines may lag behind orders. `image` is the disk image of new machines.
    """

    url: str
    token: str = field(repr=False)
    ssh_public_key: str | None
    key: str | None = field(default=None, repr=False)
    requests_per_second: float = 1.0
    settle_s: float = 45.0
    image: str = DEFAULT_IMAGE
    tag_prefix: str = PREFIX
    simulated: bool = False
    timeout_s: float = 30.0
    slow_timeout_s: float = _ORDER_TIMEOUT_S  # for orders and deletions
    leave_within_s: float = _LEAVE_WITHIN_S  # how long after its permit an order may still be sent
    sites_kept_s: float = 10.0
    health_kept_s: float = 15.0
    health_timeout_s: float = 10.0


class TensorDock:
    """The Provider of TensorDock. `close` cancels its running requests; the caller closes the Http that it passed."""

    name: Final = ProviderName.TENSORDOCK

    def __init__(self, options: TensorDockOptions, http: Http) -> None:
        self._options = options
        self._client = TensorDockClient(
            http,
            options.url,
            options.token,
            options.key,
            requests_per_second=options.requests_per_second,
            timeout_s=options.timeout_s,
            slow_timeout_s=options.slow_timeout_s,
            leave_within_s=options.leave_within_s,
        )
        self._responses = ResponseReader(self._client.without_credentials, self._client.back_off)
        key = options.ssh_public_key
        public_key = None if key is None else parse_public_key(key)
        self._instances = Instances(self._client, self._responses, options.tag_prefix, public_key, options.image)
        self._balance = AccountBalance(self._client, self._responses)
        self._orders = OrderPlacement(
            self._instances,
            settle_s=options.settle_s,
            under_way_s=options.leave_within_s + options.slow_timeout_s,
            look_every_s=1 / options.requests_per_second,
        )
        self._sites: SingleFlight[tuple[Site, ...]] = SingleFlight(self._read_sites, options.sites_kept_s)
        self._health: SingleFlight[ProviderHealth] = SingleFlight(self._check_health, options.health_kept_s)

    async def close(self) -> None:
        for part in (self._health, self._sites, self._balance, self._instances):
            await part.close()

    async def sites(self) -> Sequence[Site]:
        return await self._sites.get()

    def offer(self, site: Site, shape: Shape) -> Offer | None:
        return offers.cheapest(site, shape)

    async def rent(
        self,
        offer: Offer,
        tag: Tag,
        *,
        ordered_at: datetime | None = None,
        permit: OrderPermit = always_permit,
        report: ProgressCallback = no_progress,
    ) -> Machine:
        if not (tag.startswith(self._options.tag_prefix) and _TAG.fullmatch(tag)):
            raise ProviderRefusedError(f"a machine's tag must be {self._options.tag_prefix}, a deployment and digits")
        async with self._orders.turn(tag):
            if (found := await self._orders.find_existing(tag, ordered_at)) is not None:
                return found
            await self._balance.require_funds(offer)
            report("Ordering the machine at TensorDock")
            asked_at = datetime.now(UTC)
            return replace(await self._orders.order(offer, tag, permit, report), billed_from=asked_at)

    async def machine(self, machine_id: MachineId) -> Machine | None:
        return await self._instances.machine(machine_id)

    async def machines(self) -> Sequence[Machine]:
        return await self._instances.list_machines()

    async def start(self, machine_id: MachineId) -> None:
        await self._instances.start(machine_id)

    async def stop(self, machine_id: MachineId) -> None:
        await self._instances.stop(machine_id)

    async def release(self, machine_id: MachineId) -> None:
        await self._instances.release(machine_id)
        self._orders.forget(machine_id)

    async def health(self) -> ProviderHealth:
        return await self._health.get()

    async def balance(self) -> Decimal | None:
        """Return the account's balance in USD, at most a few seconds old; None without the API key, which it needs."""
        return await self._balance.balance() if self._client.has_key else None

    async def account(self) -> str | None:
        """Return the id of the token's organization, or None if TensorDock does not state it."""
        return await self._responses.must_read(Operation.READ_ACCOUNT, self._client.account(), parse.organization_id)

    async def _read_sites(self, _: Depart) -> tuple[Site, ...]:
        hostnodes = await self._responses.must_read(Operation.LIST_HOSTNODES, self._client.hostnodes(), parse.hostnodes)
        if all(hostnode.location_id is None for hostnode in hostnodes):
            return tuple(hostnode.site for hostnode in hostnodes)
        places = await self._places()
        return tuple(
            replace(hostnode.site, place=places.get(hostnode.location_id or "", hostnode.site.place))
            for hostnode in hostnodes
        )

    async def _places(self) -> dict[str, Place]:
        """Read the locations of hostnodes that do not state theirs.

        If that fails, the hostnodes can still be rented; only their locations are unknown.
        """
        try:
            return await self._responses.must_read(Operation.LIST_LOCATIONS, self._client.locations(), parse.locations)
        except ProviderError:
            return {}

    async def _check_health(self, _: Depart) -> ProviderHealth:
        try:
            async with asyncio.timeout(self._options.health_timeout_s):
                await self._instances.list_machines()
                healthy, detail = await self._funds()
        except TimeoutError:
            healthy, detail = False, f"no response within {self._options.health_timeout_s:g} s"
        except ProviderError as error:
            healthy, detail = False, error.message
        return ProviderHealth(configured=True, healthy=healthy, simulated=self._options.simulated, detail=detail)

    async def _funds(self) -> tuple[bool, str]:
        """Return whether orders can be paid, as far as is known, and a line for an operator."""
        if not self._client.has_key:
            return True, "balance unknown: the token is set, the key is not"
        try:
            await self._balance.test_credentials()
            usd = await self._balance.balance()
        except ProviderRefusedError:
            return True, "balance unknown: key and token are not accepted as a pair"
        except ProviderBusyError as error:
            return True, f"balance unknown: {error.message}"
        if not can_order_with(usd):
            return False, f"balance {usd:.2f} USD: an order needs more than 1 USD"
        return True, f"balance {usd:.2f} USD"
