"""Which deployment a database belongs to, and which cloud accounts its machines are in.

The first process that starts on a database writes the record; the unique id makes processes that start at the same
moment agree on one. Every later start compares itself with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from odmantic import Field, Model

from errors import ConflictError
from models.database import Database

SIMULATED: Final = "simulated"  # the account of every simulated cloud
UNKNOWN: Final = "unknown"  # of a real cloud that did not say which account it is
_THIS: Final = "this"
_WHO: Final = "deployment"


class DeploymentRecord(Model):
    """One document a database. `accounts` has the id of the account at each cloud by the provider's name."""

    id: str = Field(primary_field=True)
    name: str
    accounts: dict[str, str] = Field(default_factory=dict)
    since: datetime

    model_config = {"collection": "deployment"}


@dataclass(frozen=True, slots=True)
class Identity:
    """A deployment's name and the ids of its accounts at the clouds that it uses: never keys, which may rotate."""

    name: str
    accounts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """What the record says and what this process says instead. `subject`: a provider's name, or the deployment."""

    subject: str
    recorded: str
    ours: str

    @property
    def is_name(self) -> bool:
        return self.subject == _WHO


async def claim(db: Database, identity: Identity, *, adopt: bool = False) -> Difference | None:
    """Record that the database is this deployment's, or return what says that it is another's.

    A database without a record is taken over; an account that the record lacks is added. With `adopt` the record is
    overwritten. May be repeated, by several processes at once. Raises UnavailableError.
    """
    if adopt:
        taken = {f"accounts.{provider}": account for provider, account in identity.accounts.items()}
        await _made(db, identity)
        await db.update(DeploymentRecord, {"_id": _THIS}, {"$set": {"name": identity.name, **taken}})
        return None
    while True:
        await _made(db, identity)
        record = await db.get(DeploymentRecord, _THIS)
        if record is None:
            continue  # deleted between the two calls
        if (found := _difference(record, identity)) is not None:
            return found
        if await _added(db, record, identity):
            return None


async def _made(db: Database, identity: Identity) -> None:
    try:
        record = DeploymentRecord(
            id=_THIS, name=identity.name, accounts=dict(identity.accounts), since=datetime.now(UTC)
        )
        await db.insert(record)
    except ConflictError:
        return


async def _added(db: Database, record: DeploymentRecord, identity: Identity) -> bool:
    """Record the accounts that are new, or known only now. False: another process recorded one of them first."""
    new = {
        name: account
        for name, account in identity.accounts.items()
        if name not in record.accounts or (record.accounts[name] == UNKNOWN and account != UNKNOWN)
    }
    if not new:
        return True
    before = {f"accounts.{name}": record.accounts.get(name) for name in new}
    after = {f"accounts.{name}": account for name, account in new.items()}
    return await db.update(DeploymentRecord, {"_id": _THIS, **before}, {"$set": after}) is not None


def _difference(record: DeploymentRecord, identity: Identity) -> Difference | None:
    if record.name != identity.name:
        return Difference(_WHO, record.name, identity.name)
    for provider, account in identity.accounts.items():
        recorded = record.accounts.get(provider, account)
        if not _may_be_one(recorded, account):
            return Difference(provider, recorded, account)
    return None


def _may_be_one(recorded: str, ours: str) -> bool:
    both = {recorded, ours}
    return recorded == ours or (UNKNOWN in both and SIMULATED not in both)
