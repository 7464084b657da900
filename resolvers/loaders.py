"""Batches lookups of the same kind within a response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, Generic, TypeVar, cast

from billing.usage_totals import NO_USAGE, Usage, usage_of
from errors import UnreadableRecordError
from fleet.saves_in_use import SlotUse, slots_in_use
from models.catalog import Console, ConsoleType, read_consoles
from models.database import Database
from models.launches import Launch
from models.vms import Vm
from placement.ranking import LocatedSite, Placements
from providers.base import ProviderName

# The attributes of records that a response needs, by their model; all of models that are not in it.
Columns = Mapping[type[Any], frozenset[str]]
ALL: Final[Columns] = {}

K = TypeVar("K")
V = TypeVar("V")


class Loader(Generic[K, V]):
    """Load keys in batches: all that are requested in one round of the event loop, each once.

    Callers can be cancelled one by one: a load under way goes on for the others.
    """

    def __init__(self, look_up: Callable[[list[K]], Awaitable[Sequence[V | Exception]]]) -> None:
        """`look_up` returns a value, or the error of that key alone, for each key in its order."""
        self._look_up = look_up
        self._known: dict[K, V | Exception] = {}
        self._loads: dict[K, asyncio.Task[None]] = {}  # of keys that are not known yet
        self._next: list[K] | None = None  # keys of the load that has not begun

    async def load(self, key: K) -> V:
        found = (await self.load_all((key,)))[key]
        if isinstance(found, Exception):
            raise found
        return found

    async def load_all(self, keys: Iterable[K]) -> dict[K, V | Exception]:
        """Values, and errors in place of values, by their keys."""
        wanted = list(keys)
        for load in {self._begun(key) for key in wanted if key not in self._known}:
            await asyncio.shield(load)
        return {key: self._known[key] for key in wanted}

    def prime(self, key: K, value: V) -> None:
        """Answer with this value from now on."""
        self._known.setdefault(key, value)

    def _begun(self, key: K) -> asyncio.Task[None]:
        """Return the load that a key is part of."""
        if key not in self._loads:
            if self._next is None:
                self._next = []
                self._latest = asyncio.create_task(self._load(self._next))
            self._next.append(key)
            self._loads[key] = self._latest
        return self._loads[key]

    async def _load(self, keys: list[K]) -> None:
        self._next = None
        try:
            values = await self._look_up(keys)
        except Exception as error:  # passed on to the callers
            values = [error for _ in keys]
        self._known = dict(zip(keys, values, strict=True)) | self._known
        for key in keys:
            del self._loads[key]


class Loaders:
    """The loaders of one response. They cache what they load, and are created when first used."""

    def __init__(self, db: Database, placements: Placements, columns: Columns = ALL) -> None:
        self._db = db
        self._columns = columns
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
            return _by_key(await self._db.read_many(Launch, ids, self._columns.get(Launch)), ids)

        return Loader(load)

    @cached_property
    def vm(self) -> Loader[str, Vm | None]:
        async def load(ids: list[str]) -> list[Vm | None]:
            return _by_key(await self._db.read_many(Vm, ids, self._columns.get(Vm)), ids)

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
