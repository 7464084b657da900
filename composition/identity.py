"""Makes sure that the database belongs to this deployment and its cloud accounts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from composition.embedded_defaults import simulates_google
from errors import ProviderError
from models.database import Database
from models.deployment import SIMULATED, UNKNOWN, DeploymentRecord, Difference, Identity, claim
from providers.base import ProviderName
from settings import Settings, SettingsError, is_loopback

log = logging.getLogger("server")

_ACCOUNT_TIMEOUT_S: Final = 5.0
Account = Callable[[], Awaitable[str | None]]  # the id of an account; None if the cloud does not report it


async def identity_of(settings: Settings, tensordock: Account) -> Identity:
    """Return this process's deployment and accounts. `tensordock` is called only if TensorDock is real."""
    accounts = {ProviderName.TENSORDOCK.value: await _tensordock_account(settings, tensordock)}
    if settings.gcp_project_id is not None:
        google = SIMULATED if simulates_google(settings) else settings.gcp_project_id
        accounts[ProviderName.CLOUDYPAD.value] = google
    return Identity(settings.deployment, {name: account for name, account in accounts.items() if account is not None})


async def claim_database(db: Database, settings: Settings, identity: Identity, *, adopt: bool, embedded: bool) -> None:
    """Claim the database for this deployment. Until this returns, `db` refuses everything else.

    Raise SettingsError if the database belongs to another deployment or other accounts, and UnavailableError while it
    does not respond. `adopt` takes it over.
    """
    difference = await claim(db, identity, adopt=adopt)
    if difference is not None:
        raise SettingsError(describe_difference(difference, settings, embedded=embedded))
    if adopt:
        log.warning("database adopted", extra={"database": db.name, "deployment": identity.name})
    db.lift_restriction()


def restrict(db: Database) -> None:
    """Restrict `db` to its deployment record."""
    db.restrict_to(DeploymentRecord)


async def _tensordock_account(settings: Settings, ask: Account) -> str | None:
    if settings.tensordock_api_token is None:
        return None
    if is_loopback(settings.tensordock_api_url.host or ""):
        return SIMULATED
    try:
        async with asyncio.timeout(_ACCOUNT_TIMEOUT_S):
            account = await ask()
    except (ProviderError, TimeoutError):
        account = None
    if account is None:
        log.warning("account not verified", extra={"provider": ProviderName.TENSORDOCK})
    return account or UNKNOWN


def describe_difference(difference: Difference, settings: Settings, *, embedded: bool) -> str:
    """Return a line that says whose the database is, and what to do."""
    where = "the embedded database" if embedded else f"the database {settings.mongodb_database}"
    if difference.is_name:
        return (
            f"DEPLOYMENT: {where} belongs to the deployment {difference.recorded}, and this is {difference.ours}. Use "
            f"another database, or take this one over permanently with --adopt-database. "
            f"Example: DEPLOYMENT={difference.recorded}"
        )
    variable = "TENSORDOCK_API_TOKEN" if difference.subject == ProviderName.TENSORDOCK else "GCP_PROJECT_ID"
    return (
        f"{variable}: {where} holds machines of {_account(difference.subject, difference.recorded)}, and this is "
        f"{_account(difference.subject, difference.ours)}. {_remedy(embedded=embedded)}"
    )


def _account(provider: str, account: str) -> str:
    cloud = "TensorDock" if provider == ProviderName.TENSORDOCK else "Google Cloud"
    if account == SIMULATED:
        return f"a simulated {cloud}"
    if account == UNKNOWN:
        return f"a real {cloud}"
    return f"TensorDock's organization {account}" if cloud == "TensorDock" else f"the Google Cloud project {account}"


def _remedy(*, embedded: bool) -> str:
    if embedded:
        return "Use another folder, or --adopt-database when those machines are gone. Example: DATA_DIR=.data-2"
    return "Use another database, or --adopt-database when those machines are gone. Example: MONGODB_DATABASE=gamer-2"
