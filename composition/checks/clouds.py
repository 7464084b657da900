"""Checks of the clouds that machines are rented from, and of the bucket."""

from __future__ import annotations

from typing import Final

from composition.checks.clients import open_database, open_http, open_tensordock
from composition.checks.outcome import SIMULATED, CheckFailedError, CheckSkippedError
from composition.embedded_defaults import needs_simulator, simulates_google
from composition.providers import cloudypad_cli, compute_engine, game_bucket, google_tokens, secret_text
from providers.cloudypad.health import Health as CloudyPadHealth
from providers.google.billing_export import MACHINE_LABEL
from providers.storage.tokens import NoTokens
from settings import Settings

_READS: Final = ("storage.objects.list", "storage.objects.get")
_CHANGES: Final = ("storage.objects.create", "storage.objects.delete")
_SAVES: Final = "saves"


async def check_tensordock(settings: Settings) -> str:
    """Ask TensorDock for its hostnodes, its account and the balance."""
    if settings.tensordock_api_token is None and needs_simulator(settings):
        raise CheckSkippedError(SIMULATED)
    if settings.tensordock_api_token is None:
        raise CheckSkippedError("not configured: no TENSORDOCK_API_TOKEN")
    async with open_tensordock(settings) as tensordock:
        sites = await tensordock.sites()
        await tensordock.account()
        balance = await tensordock.balance()
    return f"{len(sites)} hostnodes" + ("" if balance is None else f", balance {balance:.2f} USD")


async def check_google(settings: Settings) -> str:
    """Request a token with the process's credentials."""
    if settings.gcp_project_id is None:
        raise CheckSkippedError(SIMULATED if needs_simulator(settings) else "not configured: no GCP_PROJECT_ID")
    async with open_http() as http:
        tokens = google_tokens(settings, http)
        if not isinstance(tokens, NoTokens):
            await tokens.token()
    return f"project {settings.gcp_project_id}, with credentials"


async def check_compute(settings: Settings) -> str:
    """List machines, as workers do. Gateways need no permission at Compute Engine."""
    if settings.gcp_project_id is None:
        raise CheckSkippedError(SIMULATED if needs_simulator(settings) else "not configured: no GCP_PROJECT_ID")
    async with open_http() as http:
        compute = compute_engine(settings, http)
        if compute is None:
            raise CheckSkippedError("a simulated project without a Compute Engine")
        machines = await compute.list_labelled(MACHINE_LABEL)
    return f"{len(machines)} machines with our label"


async def check_cloudypad(settings: Settings) -> str:
    """Run the CloudyPad CLI as workers do."""
    if settings.gcp_project_id is None:
        raise CheckSkippedError(SIMULATED if needs_simulator(settings) else "not configured: no GCP_PROJECT_ID")
    async with (
        open_http() as http,
        open_database(settings, secret_text(settings.mongodb_atlas_uri) or "mongodb://127.0.0.1") as db,
    ):
        cli = cloudypad_cli(settings, db)
        health = CloudyPadHealth(cli, google_tokens(settings, http), simulated=simulates_google(settings), kept_s=0)
        try:
            found = await health.get()
        finally:
            await health.close()
    if not found.healthy:
        raise CheckFailedError(
            f"CLOUDYPAD_COMMAND: {found.detail}. Example: CLOUDYPAD_COMMAND=/usr/local/bin/cloudypad"
        )
    return found.detail or "responds"


async def check_bucket(settings: Settings) -> str:
    """Ask for the permissions that our account needs on the bucket."""
    if settings.gcs_bucket_name is None and needs_simulator(settings):
        raise CheckSkippedError(SIMULATED)
    if settings.gcs_bucket_name is None:
        raise CheckFailedError("GCS_BUCKET_NAME: missing. Example: GCS_BUCKET_NAME=gamer-library")
    async with open_http() as http:
        bucket = game_bucket(settings, http)
        lacking = await bucket.missing_permissions((*_READS, *_CHANGES))
        if lacking and not set(lacking) & set(_READS) and await bucket.may_change(f"{_SAVES}/"):
            lacking = ()  # its role is limited to the saves
    if lacking:
        raise CheckFailedError(
            f"GCS_BUCKET_NAME: our account lacks {', '.join(lacking)} on {settings.gcs_bucket_name}. Give it the role "
            f"Storage Object Viewer, and Storage Object User on names that begin with {_SAVES}/"
        )
    return f"{settings.gcs_bucket_name} can be listed and read, and {_SAVES}/ can be written"
