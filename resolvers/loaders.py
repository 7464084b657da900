"""Batches lookups of the same kind within a response."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TypeVar, cast

from aiodataloader import DataLoader

from billing.usage_totals import NO_USAGE, Usage, usage_of
from errors import UnreadableRecordError
from fleet.saves_in_use import SlotUse, slots_in_use
from models.catalog import Console, ConsoleType, read_consoles
from models.database import Database
from models.launches import Launch
from models.vms import Vm
from placement.ranking import LocatedSite, Placements
from providers.base import ProviderName

K = TypeVar("K")
V = TypeVar("V")


class Loader(DataLoader[K, V]):
    """A DataLoader with callers that can be cancelled individually.

    The executor cancels the siblings of a field that failed. All callers that load one key await the same future, so
    that a cancelled sibling would cancel it for the others too.
    """

    def load(self, key: K) -> asyncio.Future[V]:
        return asyncio.shield(super().load(key))


class Loaders:
    """The loaders of one response. They cache what they load, and are created when first used."""

    def __init__(self, db: Database, placements: Placements) -> None:
        self._db = db
        self._placements = placements

    def show(self, document: object) -> None:
        """Use this launch or VM, as a write left it, wherever the response refers to it."""
        match document:
            case Launch():
                self.launch.prime(document.id, document)
            case Vm():
                self.vm.prime(document.id, document)

    @cached_property
    def launch(self) -> Loader[str, Launch | None]:
        async def load(ids: list[str]) -> list[Launch | None]:
            return _by_key(await self._db.read_many(Launch, ids), ids)

        return Loader(load)

    @cached_property
    def vm(self) -> Loader[str, Vm | None]:
        async def load(ids: list[str]) -> list[Vm | None]:
            return _by_key(await self._db.read_many(Vm, ids), ids)

        return Loader(load)

    @cached_property
    def usage(self) -> Loader[str, Usage]:
        """Load the usage of VMs so far, by VM id."""

        async def load(vm_ids: list[str]) -> list[Usage]:
            found = await usage_of(self._db, vm_ids, datetime.now(UTC))
            return [cast("Usage", found.get(id_, NO_USAGE)) for id_ in vm_ids]

        return Loader(load)

    @cached_property
    def console(self) -> Loader[ConsoleType, Console]:
        async def load(types: list[ConsoleType]) -> list[Console]:
            found = await read_consoles(self._db, types)
            return [cast("Console", found[type_]) for type_ in types]

        return Loader(load)

    @cached_property
    def slots_in_use(self) -> Loader[str, list[SlotUse]]:
        """Load which of a user's save slots are in use, by user id."""

        async def load(user_ids: list[str]) -> list[list[SlotUse]]:
            return [await slots_in_use(self._db, user_id) for user_id in user_ids]

        return Loader(load)

    @cached_property
    def sites(self) -> Loader[ProviderName, Mapping[str, LocatedSite]]:
        """Load all sites of a cloud, by their ids at the cloud."""

        async def load(providers: list[ProviderName]) -> list[Mapping[str, LocatedSite]]:
            return [{one.site.id: one for one in await self._placements.sites(name)} for name in providers]

        return Loader(load)


def _by_key(found: Mapping[str, V | UnreadableRecordError], ids: Sequence[str]) -> list[V | None]:
    """Return the values in the order of `ids`. An error among them is raised only for that id."""
    return [cast("V | None", found.get(id_)) for id_ in ids]
