"""Builds clouds, the bucket and Google's services from the settings."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from billing.google_catalog import CloudCatalog
from composition.embedded_defaults import simulates_google
from models.cloudypad_states import CloudyPadStates
from models.database import Database
from providers.cloudypad.cli import CloudyPadCli
from providers.cloudypad.provider import CloudyPadOptions
from providers.google.compute import COMPUTE_URL, ComputeEngine
from providers.google.location_finder import DEFAULT_URL as LOCATION_FINDER_URL
from providers.google.location_finder import LocationFinder
from providers.http import Http
from providers.storage.bucket import GOOGLE_URL, Bucket
from providers.storage.signing import IamSigner, UrlSigner, signer_for
from providers.storage.tokens import CLOUD_SCOPE, GoogleTokens, NoTokens, Tokens
from providers.tensordock.provider import TensorDockOptions
from settings import Settings, is_loopback

if TYPE_CHECKING:
    from streaming.machine import LibrarySource


def tensordock_options(settings: Settings, ssh_public_key: str | None) -> TensorDockOptions:
    """Return TensorDock's options."""
    return TensorDockOptions(
        url=str(settings.tensordock_api_url),
        token=secret_text(settings.tensordock_api_token) or "",
        key=secret_text(settings.tensordock_api_key),
        ssh_public_key=ssh_public_key,
        requests_per_second=settings.tensordock_requests_per_second,
        settle_s=settings.tensordock_settle_seconds,
        image=settings.tensordock_image,
        simulated=tensordock_is_simulated(settings),
    )


def tensordock_is_simulated(settings: Settings) -> bool:
    """Return whether TensorDock is a simulation on this machine."""
    return is_loopback(settings.tensordock_api_url.host or "")


def cloudypad_cli(settings: Settings, db: Database) -> CloudyPadCli:
    """Return the CloudyPad client. It gets Google credentials from the settings, in addition to the environment."""
    credentials = settings.google_application_credentials
    own = {} if credentials is None else {"GOOGLE_APPLICATION_CREDENTIALS": str(credentials.absolute())}
    return CloudyPadCli(
        settings.cloudypad_command or "cloudypad",
        settings.cloudypad_config_path or settings.data_dir / "cloudypad",
        store=CloudyPadStates(db),
        key_path=ssh_key_path(settings),
        inherited={**os.environ, **own},
        set_ups_at_once=settings.cloudypad_runs_at_once,
    )


def cloudypad_options(settings: Settings) -> CloudyPadOptions:
    """Return CloudyPad's options."""
    return CloudyPadOptions(
        project_id=settings.gcp_project_id or "",
        key_path=ssh_key_path(settings),
        spot=settings.gcp_spot,
        autostop_s=60 * settings.cloudypad_autostop_minutes,
        simulated=simulates_google(settings),
    )


def ssh_key_path(settings: Settings) -> Path:
    """Return the path of our private SSH key, whether or not it exists."""
    return (settings.ssh_key_path or settings.data_dir / "ssh" / "id_ed25519").absolute()


def google_tokens(settings: Settings, http: Http) -> Tokens:
    """Return the source of tokens for Google's APIs; a simulation needs none."""
    if simulates_google(settings):
        return NoTokens()
    return GoogleTokens(http, settings.google_application_credentials, scope=CLOUD_SCOPE)


def location_finder(settings: Settings, http: Http) -> LocationFinder | None:
    """Return the Location Finder client; None for simulated projects, where distance alone orders regions."""
    url, project = settings.google_location_finder_url, settings.gcp_project_id
    if project is None or (url is None and simulates_google(settings)):
        return None
    return LocationFinder(http, google_tokens(settings, http), project, url=str(url or LOCATION_FINDER_URL))


def compute_engine(settings: Settings, http: Http) -> ComputeEngine | None:
    """Return the Compute Engine client; None for simulated projects, where only CloudyPad knows the machines."""
    url, project = settings.google_compute_url, settings.gcp_project_id
    if project is None or (url is None and simulates_google(settings)):
        return None
    return ComputeEngine(http, google_tokens(settings, http), project, url=str(url or COMPUTE_URL))


def catalog_of_prices(settings: Settings) -> CloudCatalog | None:
    """Return the price catalog client; None for simulated projects, which use the shipped prices."""
    url = settings.google_catalog_url
    if settings.gcp_project_id is None or (url is None and simulates_google(settings)):
        return None
    return CloudCatalog(None if url is None else str(url), settings.google_application_credentials)


def game_bucket(settings: Settings, http: Http) -> Bucket:
    """Return the bucket of the game library and the saves."""
    endpoint = str(settings.gcs_endpoint_url)
    real = endpoint.rstrip("/") == GOOGLE_URL
    tokens = GoogleTokens(http, settings.google_application_credentials) if real else NoTokens()
    return Bucket(http, settings.gcs_bucket_name or "", tokens, endpoint_url=endpoint)


def save_urls(settings: Settings, http: Http) -> UrlSigner:
    """Return what signs the download URLs of saves. No real key signs for a simulated bucket."""
    endpoint, account = str(settings.gcs_endpoint_url), settings.gcs_signing_account
    iam = IamSigner(http, google_tokens(settings, http), account, url=str(settings.gcs_signing_url))
    key_file = None if simulates_google(settings) else settings.google_application_credentials
    return UrlSigner(signer_for(key_file, iam, account=account), settings.gcs_bucket_name or "", endpoint)


async def library_source(settings: Settings) -> LibrarySource:
    """Return what machines need to mount the library."""
    from streaming.machine import LibrarySource  # noqa: PLC0415  (a gateway never loads asyncssh)

    key_file = settings.gcs_library_key_file
    key = None if key_file is None else await asyncio.to_thread(key_file.read_bytes)
    return LibrarySource(settings.gcs_bucket_name or "", str(settings.gcs_endpoint_url).rstrip("/"), key)


def secret_text(value: SecretStr | None) -> str | None:
    """Return the text of a secret."""
    return None if value is None else value.get_secret_value()
