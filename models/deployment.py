"""Which deployment a database belongs to, and which cloud accounts its machines are in.

The first process that starts on a database writes the record; its unique id makes processes that start at the same time
agree. Every later start compares itself with the record.
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
UNKNOWN: Final = "unknown"  # a real cloud that does not state which account it is
_THIS: Final = "this"
_WHO: Final = "deployment"


class DeploymentRecord(Model):
    """The record, one per database. `accounts` maps provider names to account ids."""

    id: str = Field(primary_field=True)
    name: str
    accounts: dict[str, str] = Field(default_factory=dict)
    since: datetime

    model_config = {"collection": "deployment"}


@dataclass(frozen=True, slots=True)
class Identity:
    """A deployment's name and the ids of its cloud accounts: never keys, which may rotate."""

    name: str
    accounts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference between the record and this process. `subject`: a provider's name, or the deployment."""

    subject: str
    recorded: str
    ours: str

    @property
    def is_name(self) -> bool:
        return self.subject == _WHO


async def claim(db: Database, identity: Identity, *, adopt: bool = False) -> Difference | None:
    """Record that the database belongs to this deployment, or return how it belongs to another.

    A database without a record is claimed; accounts that the record lacks are added. With `adopt` the record is
    overwritten. May be repeated, by several processes at once. Raises UnavailableError.
    """
    if adopt:
        taken = {f"accounts.{provider}": account for provider, account in identity.accounts.items()}
        await _insert_record(db, identity)
        await db.update(DeploymentRecord, {"_id": _THIS}, {"$set": {"name": identity.name, **taken}})
        return None
    while True:
        await _insert_record(db, identity)
        record = await db.get(DeploymentRecord, _THIS)
        if record is None:
            continue  # deleted between the two calls
        if (found := _difference(record, identity)) is not None:
            return found
        if await _add_accounts(db, record, identity):
            return None


async def compare(db: Database, identity: Identity) -> Difference | None:
    """Return how the database belongs to another deployment; None if it is ours or unclaimed. Writes nothing."""
    record = await db.get(DeploymentRecord, _THIS)
    return None if record is None else _difference(record, identity)


async def _insert_record(db: Database, identity: Identity) -> None:
    try:
        record = DeploymentRecord(
            id=_THIS, name=identity.name, accounts=dict(identity.accounts), since=datetime.now(UTC)
        )
        await db.insert(record)
    except ConflictError:
        return


async def _add_accounts(db: Database, record: DeploymentRecord, identity: Identity) -> bool:
    """Record new accounts and accounts known only now. Returns False if another process recorded one first."""
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
        if not _can_be_same(recorded, account):
            return Difference(provider, recorded, account)
    return None


def _can_be_same(recorded: str, ours: str) -> bool:
    both = {recorded, ours}
    return recorded == ours or (UNKNOWN in both and SIMULATED not in both)
