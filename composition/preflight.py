"""Checks what a deployment needs, without renting or changing anything: `python server.py --check`.

All checks run at the same time, each with its own time limit, so that a silent service costs ten seconds and hides no
other fault. Each failed check says which variable is wrong and how to mend it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from auth.jwks import usable_keys
from composition.dependencies import engine_address, key_pair
from composition.embedded_defaults import needs_simulator, simulates_google
from composition.files import file_faults
from composition.identity import describe_difference, identity_of
from composition.providers import (
    cloudypad_cli,
    compute_engine,
    game_bucket,
    google_tokens,
    secret_text,
    tensordock_options,
)
from composition.tracing import collector_headers
from errors import ProviderError, UnavailableError, UnusableError
from launch.temporal_client import connect
from models.database import Database
from models.database_probe import inspect
from models.deployment import Identity, compare
from models.registry import DOCUMENTS
from models.write_probe import WriteProbe
from providers.cloudypad.health import Health as CloudyPadHealth
from providers.google.billing_export import MACHINE_LABEL
from providers.http import Http, Request
from providers.storage.tokens import NoTokens
from providers.tensordock.provider import TensorDock
from safety import faults as unsafe_settings
from settings import Environment, Settings, SettingsError

_CHECK_S: Final = 10.0
_DATABASE_S: Final = 3.0
_CLOCK_S: Final = 5.0
_READS: Final = ("storage.objects.list", "storage.objects.get")
_CHANGES: Final = ("storage.objects.create", "storage.objects.delete")
_SAVES: Final = "saves"
_EMBEDDED: Final = "embedded: it starts with the service"
_SIMULATED: Final = "simulated: it starts with the service"


class CheckState(StrEnum):
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the report. `message` of a failed check names the variable, the cause and the cure."""

    name: str
    state: CheckState
    message: str


class _FailedError(Exception):
    """A check failed, with one line for each fault."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class _SkippedError(Exception):
    """A check does not apply."""


Check = Callable[[Settings], Awaitable[str]]


async def preflight(settings: Settings, role: str) -> list[CheckResult]:
    """Run all checks that apply to the role, and return their results in a fixed order."""
    checks = dict(_CHECKS if role != "gateway" else {n: c for n, c in _CHECKS.items() if n not in _FOR_WORKERS})
    unsafe = [CheckResult("settings", CheckState.FAILED, line) for line in unsafe_settings(settings, role)]
    files = await asyncio.to_thread(lambda: list(file_faults(settings, works=role != "gateway")))
    results = [
        *(
            unsafe
            or [CheckResult("settings", CheckState.OK, f"{settings.environment}, deployment {settings.deployment}")]
        ),
        *(CheckResult("files", CheckState.FAILED, line) for line in files),
    ]
    for found in await asyncio.gather(*(_run(name, check, settings) for name, check in checks.items())):
        results += found
    return results


def as_text(results: Sequence[CheckResult]) -> str:
    """Return the report for a terminal."""
    width = max(len(result.name) for result in results)
    lines = [f"{result.state:<8}{result.name:<{width + 2}}{result.message}" for result in results]
    failed = sum(result.state is CheckState.FAILED for result in results)
    ending = "Everything that was checked is in order." if not failed else f"{failed} of {len(results)} checks failed."
    return "\n".join([*lines, "", ending])


def as_json(results: Sequence[CheckResult]) -> dict[str, Any]:
    """Return the report for programs."""
    return {
        "ok": all(result.state is not CheckState.FAILED for result in results),
        "checks": [asdict(result) for result in results],
    }


async def _run(name: str, check: Check, settings: Settings) -> list[CheckResult]:
    try:
        async with asyncio.timeout(_CHECK_S):
            return [CheckResult(name, CheckState.OK, await check(settings))]
    except _SkippedError as reason:
        return [CheckResult(name, CheckState.SKIPPED, str(reason))]
    except _FailedError as error:
        lines: Sequence[str] = error.lines
    except SettingsError as error:
        lines = [str(error)]
    except UnusableError as error:
        lines = [error.fault]
    except (ProviderError, UnavailableError) as error:
        lines = [f"{_VARIABLES[name]}: {error.message}"]
    except TimeoutError:
        lines = [f"{_VARIABLES[name]}: no response within {_CHECK_S:g} seconds"]
    except Exception as error:  # one check must not hide the others; the text could hold a credential
        lines = [f"{_VARIABLES[name]}: the check failed unexpectedly ({type(error).__name__})"]
    return [CheckResult(name, CheckState.FAILED, line) for line in lines]


async def _data_folder(settings: Settings) -> str:
    folder = settings.data_dir.absolute()
    if not await asyncio.to_thread(_can_be_written, folder):
        raise _FailedError(f"DATA_DIR: {folder} cannot be written. Example: DATA_DIR=/var/lib/gamer")
    return str(folder)


def _can_be_written(folder: Path) -> bool:
    """Return whether a folder can be written, or created in the nearest one that exists."""
    try:
        existing = next(each for each in (folder, *folder.parents) if each.exists())
    except PermissionError:
        return False
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


async def _port(settings: Settings) -> str:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise _FailedError(
                f"PORT: cannot listen on {where}: {_reason(error)}. Example: PORT={settings.port + 1}"
            ) from None
    return f"{settings.host}:{settings.port} is free"


async def _ssh_key(settings: Settings) -> str:
    if settings.ssh_key_path is None:
        return "made in DATA_DIR when a worker first needs it"
    if settings.environment is not Environment.PRODUCTION and not settings.ssh_key_path.exists():
        return f"made at {settings.ssh_key_path} when a worker first needs it"
    await key_pair(settings.model_copy(update={"environment": Environment.PRODUCTION}))
    return str(settings.ssh_key_path)


async def _database(settings: Settings) -> str:
    uri = secret_text(settings.mongodb_atlas_uri)
    if uri is None:
        raise _SkippedError(_EMBEDDED)
    found = await inspect(uri, settings.mongodb_database, DOCUMENTS, timeout_s=_DATABASE_S)
    if abs(found.clock_ahead_s) > _CLOCK_S:
        raise _FailedError(
            f"MONGODB_ATLAS_URI: the database's clock and this machine's differ by {abs(found.clock_ahead_s):.0f} "
            "seconds; usage is metered by this machine's clock. Start its time synchronization (NTP)"
        )
    async with _opened(settings, uri) as db:
        difference = await compare(db, await _identity(settings))
        if difference is not None:
            raise _FailedError(describe_difference(difference, settings, embedded=False))
        if not await WriteProbe(db).check():
            raise _FailedError(
                f"MONGODB_ATLAS_URI: the database {settings.mongodb_database} does not accept writes from this user. "
                "Give the user the role readWrite on it"
            )
    count = len(found.missing_indexes)
    indexes = f"{count} indexes are made at the next start" if count else "all indexes are there"
    return f"reads and writes {settings.mongodb_database}; {indexes}"


@asynccontextmanager
async def _opened(settings: Settings, uri: str) -> AsyncIterator[Database]:
    db = Database(uri, settings.mongodb_database, timeout_s=_DATABASE_S)
    try:
        yield db
    finally:
        await db.close()


async def _identity(settings: Settings) -> Identity:
    async with _tensordock_client(settings) as tensordock:
        return await identity_of(settings, tensordock.account)


async def _temporal(settings: Settings) -> str:
    if settings.temporal_address is None:
        raise _SkippedError(_EMBEDDED)
    await connect(engine_address(settings))
    return f"{settings.temporal_address}, namespace {settings.temporal_namespace}"


async def _tensordock(settings: Settings) -> str:
    if settings.tensordock_api_token is None and needs_simulator(settings):
        raise _SkippedError(_SIMULATED)
    if settings.tensordock_api_token is None:
        raise _SkippedError("not configured: no TENSORDOCK_API_TOKEN")
    async with _tensordock_client(settings) as tensordock:
        sites = await tensordock.sites()
        await tensordock.account()
        balance = await tensordock.balance()
    return f"{len(sites)} hostnodes" + ("" if balance is None else f", balance {balance:.2f} USD")


async def _google(settings: Settings) -> str:
    if settings.gcp_project_id is None:
        raise _SkippedError(_SIMULATED if needs_simulator(settings) else "not configured: no GCP_PROJECT_ID")
    async with _http() as http:
        tokens = google_tokens(settings, http)
        if not isinstance(tokens, NoTokens):
            await tokens.token()
    return f"project {settings.gcp_project_id}, with credentials"


async def _compute(settings: Settings) -> str:
    """List machines, as workers do. Gateways need no permission at Compute Engine."""
    if settings.gcp_project_id is None:
        raise _SkippedError(_SIMULATED if needs_simulator(settings) else "not configured: no GCP_PROJECT_ID")
    async with _http() as http:
        compute = compute_engine(settings, http)
        if compute is None:
            raise _SkippedError("a simulated project without a Compute Engine")
        machines = await compute.list_labelled(MACHINE_LABEL)
    return f"{len(machines)} machines with our label"


async def _cloudypad(settings: Settings) -> str:
    if settings.gcp_project_id is None:
        raise _SkippedError(_SIMULATED if needs_simulator(settings) else "not configured: no GCP_PROJECT_ID")
    async with (
        _http() as http,
        _opened(settings, secret_text(settings.mongodb_atlas_uri) or "mongodb://127.0.0.1") as db,
    ):
        cli = cloudypad_cli(settings, db)
        health = CloudyPadHealth(cli, google_tokens(settings, http), simulated=simulates_google(settings), kept_s=0)
        try:
            found = await health.get()
        finally:
            await health.close()
    if not found.healthy:
        raise _FailedError(f"CLOUDYPAD_COMMAND: {found.detail}. Example: CLOUDYPAD_COMMAND=/usr/local/bin/cloudypad")
    return found.detail or "responds"


async def _bucket(settings: Settings) -> str:
    if settings.gcs_bucket_name is None and needs_simulator(settings):
        raise _SkippedError(_SIMULATED)
    if settings.gcs_bucket_name is None:
        raise _FailedError("GCS_BUCKET_NAME: missing. Example: GCS_BUCKET_NAME=gamer-library")
    async with _http() as http:
        bucket = game_bucket(settings, http)
        lacking = await bucket.missing_permissions((*_READS, *_CHANGES))
        if lacking and not set(lacking) & set(_READS) and await bucket.may_change(f"{_SAVES}/"):
            lacking = ()  # its role is limited to the saves
    if lacking:
        raise _FailedError(
            f"GCS_BUCKET_NAME: our account lacks {', '.join(lacking)} on {settings.gcs_bucket_name}. Give it the role "
            f"Storage Object Viewer, and Storage Object User on names that begin with {_SAVES}/"
        )
    return f"{settings.gcs_bucket_name} can be listed and read, and {_SAVES}/ can be written"


async def _token_keys(settings: Settings) -> str:
    if settings.jwt_jwks_url is None:
        raise _SkippedError("tokens are verified with JWT_SECRET" if settings.jwt_secret else "no tokens are verified")
    async with _http() as http:
        reply = await http.get(str(settings.jwt_jwks_url), timeout_s=_CHECK_S)
    keys = list(usable_keys(reply)) if reply.status == 200 else []
    if not keys:
        raise _FailedError(
            f"JWT_JWKS_URL: it responds with {reply.status} and without a key for RS256 or ES256. "
            "Example: JWT_JWKS_URL=https://id.example.com/.well-known/jwks.json"
        )
    return f"{len(keys)} usable keys"


async def _webhook(settings: Settings) -> str:
    """Open a connection, with TLS where the address has it, and send nothing."""
    url = settings.alert_webhook_url
    if url is None:
        raise _SkippedError("no ALERT_WEBHOOK_URL")
    encrypted = ssl.create_default_context() if url.scheme == "https" else None
    try:
        _, writer = await asyncio.open_connection(url.host, url.port, ssl=encrypted)
    except OSError as error:
        raise _FailedError(f"ALERT_WEBHOOK_URL: {url.host} cannot be reached: {_reason(error)}") from None
    writer.close()
    return f"{url.host} can be reached"


async def _traces(settings: Settings) -> str:
    """Send the collector a request without spans, which it must accept."""
    endpoint = settings.otel_exporter_otlp_endpoint
    if endpoint is None:
        raise _SkippedError("no OTEL_EXPORTER_OTLP_ENDPOINT")
    headers = {**collector_headers(settings), "content-type": "application/x-protobuf"}
    async with _http() as http:
        reply = await http.send(Request("POST", f"{str(endpoint).rstrip('/')}/v1/traces", headers, b""))
    if reply.status in (401, 403):
        raise _FailedError(
            f"OTEL_EXPORTER_OTLP_HEADERS: the collector responds with {reply.status}. "
            "Example: OTEL_EXPORTER_OTLP_HEADERS=x-api-key=0123abcd"
        )
    if reply.status != 200:
        raise _FailedError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT: it responds with {reply.status} to an empty request of OTLP over HTTP. "
            "Example: OTEL_EXPORTER_OTLP_ENDPOINT=https://collector.example.net:4318"
        )
    return f"{endpoint.host} accepts traces"


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "the TLS handshake fails"
    if isinstance(error, socket.gaierror):
        return "DNS does not know the host"
    return os.strerror(error.errno or 0)


@asynccontextmanager
async def _http() -> AsyncIterator[Http]:
    http = Http(timeout_s=_CHECK_S)
    try:
        yield http
    finally:
        await http.close()


@asynccontextmanager
async def _tensordock_client(settings: Settings) -> AsyncIterator[TensorDock]:
    async with _http() as http:
        tensordock = TensorDock(tensordock_options(settings, None), http)
        try:
            yield tensordock
        finally:
            await tensordock.close()


_CHECKS: Final[dict[str, Check]] = {
    "data folder": _data_folder,
    "port": _port,
    "ssh key": _ssh_key,
    "database": _database,
    "temporal": _temporal,
    "tensordock": _tensordock,
    "google": _google,
    "compute": _compute,
    "cloudypad": _cloudypad,
    "bucket": _bucket,
    "token keys": _token_keys,
    "webhook": _webhook,
    "traces": _traces,
}
_FOR_WORKERS: Final = frozenset({"ssh key", "cloudypad", "compute"})
_VARIABLES: Final = {
    "data folder": "DATA_DIR",
    "port": "PORT",
    "ssh key": "SSH_KEY_PATH",
    "database": "MONGODB_ATLAS_URI",
    "temporal": "TEMPORAL_ADDRESS",
    "tensordock": "TENSORDOCK_API_TOKEN",
    "google": "GCP_PROJECT_ID",
    "compute": "GCP_PROJECT_ID",
    "cloudypad": "CLOUDYPAD_COMMAND",
    "bucket": "GCS_BUCKET_NAME",
    "token keys": "JWT_JWKS_URL",
    "webhook": "ALERT_WEBHOOK_URL",
    "traces": "OTEL_EXPORTER_OTLP_ENDPOINT",
}
