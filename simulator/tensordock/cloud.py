"""The cloud behind both interfaces: its machines, their states and their costs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal

from simulator.clock import Clock
from simulator.faults import FaultKind
from simulator.hostnodes.stock import Claim, Stock
from simulator.park import Park
from simulator.tensordock.instances import OFF, UP, Instance, Order, Status
from simulator.tensordock.ledger import NEEDED_TO_ORDER_USD, Ledger
from simulator.tensordock.lives import Lives
from simulator.tensordock.ordering import OrderedFaults, instance_for, place, reprice
from simulator.tensordock.orders_taken import OrderTaken, order_taken

log = logging.getLogger(__name__)

NO_FAULTS = OrderedFaults()


class NoSuchInstanceError(Exception):
    """There is no machine with this id, or it has ended."""


class WrongStateError(Exception):
    """The machine's status does not allow this."""

    def __init__(self, status: Status, verb: str) -> None:
        super().__init__(f"{status}: cannot be {verb}")
        self.status = status
        self.verb = verb


class BalanceTooLowError(Exception):
    """The balance does not suffice to run a machine."""


class Cloud:
    """Machines, stock and balance. Names mean nothing here: two orders are two machines.

    Every command takes effect at once and is saved before it returns; what takes time is done in the background.
    """

    def __init__(
        self, stock: Stock, park: Park, clock: Clock, ledger: Ledger, *, seed: int, keep: Callable[[Cloud], None]
    ) -> None:
        self.stock = stock
        self.ledger = ledger
        self.instances: dict[str, Instance] = {}
        self.orders: list[OrderTaken] = []
        self.secrets: dict[str, dict[str, str]] = {}
        self.others: list[Claim] = []  # what hosts gave to other customers
        self.ordered_in_all = 0
        self.money_moves = asyncio.Event()
        self._park = park
        self._keep = keep
        self._lives = Lives(park, clock, seed, changed=self._changed, gone=self._gone)

    def instance(self, instance_id: str) -> Instance:
        if instance_id not in self.instances:
            raise NoSuchInstanceError
        return self.instances[instance_id]

    def listed(self) -> list[Instance]:
        """Return the machines that a list shows now. A machine with a lag is missing from it for a while."""
        now = self.ledger.now()
        return [one for one in self.instances.values() if one.listed_from is None or one.listed_from <= now]

    def balance_usd(self) -> Decimal:
        self.ledger.settle(self.instances.values())
        return self.ledger.balance_usd

    def usd_per_hour_now(self) -> Decimal:
        return sum((instance.usd_per_hour_now for instance in self.instances.values()), Decimal(0))

    def order(self, order: Order, ordered_faults: Callable[[Claim], OrderedFaults] = lambda _: NO_FAULTS) -> Instance:
        """Take an order. `ordered_faults` is called once the order has a place.

        Raises BalanceTooLowError, NoNodeError or NoPublicIpError; then nothing has happened.
        """
        self._need_money()
        claim = place(self.stock, order)
        self.ordered_in_all += 1
        instance = instance_for(order, claim, self.stock, self.ordered_in_all, self.ledger.now(), ordered_faults(claim))
        self.stock.claim(instance.id, claim)
        self.instances[instance.id] = instance
        self.orders.append(order_taken(instance))
        self._save()
        self._lives.begin(instance)
        return instance

    async def resume(self) -> None:
        """Continue the lives of an earlier run's machines."""
        for number, claim in enumerate(self.others, start=1):
            self.stock.claim(_somebody_else(number), claim)
        for instance in self.instances.values():
            self.stock.claim(instance.id, instance.claim)
            await self._lives.resume(instance)

    def start(self, instance_id: str) -> Instance:
        """Start a machine that is off. Raises WrongStateError; NoNodeError or NoPublicIpError without free hardware."""
        instance = self.instance(instance_id)
        if instance.status not in OFF:
            raise WrongStateError(instance.status, "started")
        self._need_money()
        self.stock.check(instance.id, instance.full_claim)
        self._hold(instance, instance.full_claim)
        return self._want(instance, Status.STARTING)

    def stop(self, instance_id: str, *, release: bool) -> Instance:
        """Stop a machine; `release` gives its hardware back once it is off. Raises WrongStateError unless it is on."""
        instance = self.instance(instance_id)
        if instance.status not in UP:
            raise WrongStateError(instance.status, "stopped")
        instance.stops_into = Status.STOPPED_DISASSOCIATED if release else Status.STOPPED
        return self._want(instance, Status.STOPPING)

    def modify(self, instance_id: str, full_claim: Claim) -> Instance:
        """Resize a machine that is off. Raises WrongStateError, NoNodeError, NoPublicIpError."""
        instance = self.instance(instance_id)
        if instance.status not in OFF:
            raise WrongStateError(instance.status, "modified")
        held = full_claim.storage_only() if instance.claim != instance.full_claim else full_claim
        self.stock.check(instance.id, held)
        self._hold(instance, held)
        instance.full_claim = full_claim
        reprice(instance, self.stock)
        self._note_price(instance)
        self._save()
        return instance

    def delete(self, instance_id: str, *, takes_s: float | None = None) -> Instance:
        """Delete a machine. May be repeated for as long as the machine is known."""
        instance = self.instance(instance_id)
        if instance.status is not Status.DELETING:
            if takes_s is not None:
                instance.quirks[FaultKind.SLOW_DELETE] = takes_s
            self._end(instance, "deleted")
        return instance

    def vanish(self, instance_id: str) -> None:
        """Remove a machine at once, without an order to delete it."""
        instance = self.instance(instance_id)
        self._forget(instance)
        instance.quirks[FaultKind.SLOW_DELETE] = 0
        self._end(instance, "vanished")

    def host_stop(self, instance_id: str, *, given_away: bool) -> None:
        """Take a machine's hardware back, as its host does. `given_away`: another customer keeps it."""
        instance = self.instance(instance_id)
        if given_away:
            self._give_to_others(replace(instance.full_claim, storage_gb=0, external_ports=()))
        instance.stops_into = Status.STOPPED_DISASSOCIATED
        self._want(instance, Status.STOPPING)

    def switched_off_inside(self, instance_id: str) -> None:
        """Note that a machine switched itself off. Its hardware stays reserved, as after a stop."""
        instance = self.instances.get(instance_id)
        if instance and instance.status in UP:
            self.stop(instance_id, release=False)

    def set_park_fault(self, instance: Instance, fault: FaultKind, *, on: bool) -> None:
        """Set or clear a fault of a machine: SSH refuses, or installations fail."""
        if on:
            instance.quirks[fault] = 0
        else:
            instance.quirks.pop(fault, None)
        if instance.has_hardware:
            self._park.set_fault(instance.id, fault, on)
        self._save()

    def keep_secret(self, secret_id: str, secret: Mapping[str, str]) -> None:
        self.secrets[secret_id] = dict(secret)
        self._save()

    def forget_secret(self, secret_id: str) -> bool:
        found = self.secrets.pop(secret_id, None) is not None
        self._save()
        return found

    def set_price(self, instance_id: str, usd_per_hour: Decimal) -> Instance:
        """Charge another price for a machine while it has its hardware, from now on. Its disk alone costs as before."""
        instance = self.instance(instance_id)
        self.ledger.settle([instance])
        instance.usd_per_hour = usd_per_hour
        self._note_price(instance)
        self._save()
        return instance

    def set_balance(self, usd: Decimal) -> None:
        self.ledger.settle(self.instances.values())
        self.ledger.balance_usd = usd
        self._save()

    async def reset(self, balance_usd: Decimal) -> None:
        """Empty the cloud: no machine, no order, all stock free."""
        await self._lives.end_all()
        for instance in list(self.instances.values()):
            await self._park.destroy(instance.id)
        self.instances.clear()
        self.orders.clear()
        self.secrets.clear()
        self.others.clear()
        self.stock.clear()
        self.ledger.balance_usd, self.ledger.spent_usd = balance_usd, Decimal(0)
        self._save()

    async def close(self) -> None:
        await self._lives.end_all()
        self.ledger.settle(self.instances.values())
        self._save()

    def _need_money(self) -> None:
        if self.balance_usd() < NEEDED_TO_ORDER_USD:
            raise BalanceTooLowError

    def _want(self, instance: Instance, status: Status) -> Instance:
        self.ledger.settle([instance])
        instance.status = status
        self._save()
        self._lives.wake(instance)
        return instance

    def _end(self, instance: Instance, by: str) -> None:
        """End the costs of a machine now. `by` is for the record of its order."""
        self.ledger.settle([instance])
        order = self._order_of(instance)
        order.ended_at = instance.billed_until.isoformat()
        order.ended_by = by
        order.billed_usd = str(instance.billed_usd)
        instance.status = Status.DELETING
        self._note_price(instance)
        self._save()
        self._lives.wake(instance)

    def _hold(self, instance: Instance, claim: Claim) -> None:
        self.ledger.settle([instance])
        instance.claim = claim
        self.stock.claim(instance.id, claim)
        self._note_price(instance)

    def _note_price(self, instance: Instance) -> None:
        """Note the price in the record of the order, as of the last settling."""
        order, released = self._order_of(instance), instance.claim != instance.full_claim
        order.note_price(instance.billed_until, instance.usd_per_hour_now, released=released)

    def _order_of(self, instance: Instance) -> OrderTaken:
        return next(order for order in self.orders if order.instance_id == instance.id)

    def _changed(self, instance: Instance) -> None:
        if instance.status is Status.STOPPED_DISASSOCIATED and instance.id in self.instances:
            self._hold(instance, instance.full_claim.storage_only())
        self._save()

    def _gone(self, instance: Instance) -> None:
        self._forget(instance)
        self._save()

    def _forget(self, instance: Instance) -> None:
        self.instances.pop(instance.id, None)
        self.stock.release(instance.id)

    def free_hardware_of_others(self) -> None:
        """Free the hardware that hosts gave to other customers."""
        for number, _ in enumerate(self.others, start=1):
            self.stock.release(_somebody_else(number))
        self.others.clear()
        self._save()

    def _give_to_others(self, claim: Claim) -> None:
        self.others.append(claim)
        self.stock.claim(_somebody_else(len(self.others)), claim)

    def _save(self) -> None:
        self._keep(self)
        self.money_moves.set()


def _somebody_else(number: int) -> str:
    return f"somebody else {number}"
