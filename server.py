"""The entry point: reads the settings and runs the gateway, the worker, or both.

`python server.py` runs both in one process; `--role gateway` and `--role worker` run one of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from starlette.applications import Starlette

from auth.authenticator import DEVELOPER
from billing.rollups import Rollups
from composition.dependencies import VERSION, Dependencies, compose
from composition.embedded_defaults import completed, embedded, needs_simulator
from composition.identity import claim_database, identity_of, restrict
from composition.metrics import worker_metrics_page
from composition.providers import secret_text
from composition.tracing import traces
from composition.waiting import retry_until_available
from embedded.child import EmbeddedError
from embedded.startup import startup_text
from errors import GatewayError, MigrationError, UnavailableError, UnusableError
from fleet.sweep_plan import Action
from models.database import Database
from models.database_probe import check_address
from models.deployment import Identity
from models.registry import DOCUMENTS
from models.write_probe import WriteProbe
from safety import lets_developer_in, refuse_unsafe
from settings import Environment, Settings, SettingsError, is_loopback, load_settings, setting_faults
from streaming.addresses import Address
from web.access_log import AccessLog
from web.header_limits import HeadLimits
from web.http_protocol import hardened_http_protocol
from web.logging_setup import configure_logging
from web.metrics_endpoint import metrics_endpoint
from web.websocket_protocol import hardened_websocket_protocol

if TYPE_CHECKING:
    from fleet.rescue import RescuedSlot

log = logging.getLogger("server")

_SHUTDOWN_S: Final = 10.0
_PREPARE_WAIT_S: Final = 3.0
_BACKLOG: Final = 4096
# asyncio accepts this many connections before it does anything else. If thousands were accepted at once, responses of
# the database would wait past their timeouts.
_ACCEPTED_AT_ONCE: Final = 16
_ONE_LINE: Final = (SettingsError, EmbeddedError, UnavailableError, MigrationError)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="The Gamer Provisioner.")
    parser.add_argument("--role", choices=["all", "gateway", "worker"], default="all")
    parser.add_argument(
        "--rebuild-rollups",
        action="store_true",
        help="recompute the sums of closed days from the usage intervals, and exit",
    )
    parser.add_argument(
        "--adopt-database",
        action="store_true",
        help="take over the database, and the task queue, for this deployment and its cloud accounts",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="check settings, credentials, permissions and connections without renting anything, and exit",
    )
    parser.add_argument("--json", action="store_true", help="print the report of --check as JSON")
    arguments = parser.parse_args()
    if arguments.check:
        return check(arguments.role, as_json=arguments.json)
    with one_line_errors():
        settings = load_settings()
        refuse_unsafe(settings, arguments.role)
        as_json = settings.environment is Environment.PRODUCTION
        configure_logging(settings.log_level, as_json=as_json, project=settings.gcp_project_id)
        with contextlib.suppress(KeyboardInterrupt):
            if arguments.rebuild_rollups:
                asyncio.run(rebuild_rollups(settings))
            else:
                run(serve(settings, arguments.role, adopt=arguments.adopt_database))
    return 0


def check(role: str, *, as_json: bool) -> int:
    """Print a report of everything that the role needs. Return 0 if all of it is in order, else 1."""
    from composition import preflight  # noqa: PLC0415  (it loads what a gateway never needs)

    if invalid := setting_faults():
        results = [preflight.CheckResult("settings", preflight.CheckState.FAILED, line) for line in invalid]
    else:
        settings = load_settings()
        configure_logging("CRITICAL", as_json=False)
        results = asyncio.run(preflight.preflight(settings, role))
    report = preflight.as_json(results)
    print(json.dumps(report, indent=2) if as_json else preflight.as_text(results))  # noqa: T201  (output of a command)
    return 0 if report["ok"] else 1


def run(service: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where there is one: it needs less of the processor for each answer than asyncio's own loop."""
    with contextlib.suppress(ImportError):  # not made for Windows
        import uvloop  # noqa: PLC0415  (see above)

        uvloop.run(service)
        return
    asyncio.run(service)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End the process with status 2 and a one-line message on an invalid setting or an unavailable dependency."""
    try:
        yield
    except (*_ONE_LINE, BaseExceptionGroup) as error:
        first = _first(error)
        if not isinstance(first, _ONE_LINE):
            raise
        line = first.fault if isinstance(first, UnusableError) else first
        print(line, file=sys.stderr)  # noqa: T201  (output of a command)
        raise SystemExit(2) from None


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def serve(settings: Settings, role: str, *, adopt: bool = False) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP. `adopt` takes over the database of another deployment."""
    stopping = _stop_signal()
    async with AsyncExitStack() as stack:
        _make_folder(settings.data_dir)
        port, name = (settings.metrics_port, "METRICS_PORT") if role == "worker" else (settings.port, "PORT")
        listener = None if port is None else stack.enter_context(listen(settings.host, port, name))
        running = await stack.enter_async_context(embedded(settings))
        given, settings = settings, completed(settings, running)
        await stack.enter_async_context(traces(settings, role))
        parts = await stack.enter_async_context(compose(settings, works=role != "gateway"))
        parts.db.prepare_first()
        restrict(parts.db)
        opened, prepared = asyncio.Event(), asyncio.Event()
        claim = _claim(parts, settings, given, adopt=adopt)
        preparing = prepare_database(parts.db, parts.write_probe, claim, opened, prepared)
        failures: list[GatewayError] = []
        async with asyncio.TaskGroup() as tasks:
            jobs = [
                tasks.create_task(_stop_on_failure(preparing, stopping, failures)),
                tasks.create_task(_warm_up(parts, opened)),
            ]
            # Normally the database is prepared before the first request: creating an index waits for writes.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(prepared.wait(), _PREPARE_WAIT_S)
            if role != "gateway":
                jobs.append(tasks.create_task(_work(settings, parts, opened, stopping, adopt=adopt)))
            startup_texts = [tasks.create_task(_log_start(settings, role, prepared))]
            if listener is not None:
                jobs.append(
                    tasks.create_task(
                        _serve_http(settings, parts, _build_application(role, settings, parts), listener, stopping)
                    )
                )
                if settings.environment is Environment.DEVELOPMENT and role != "worker":
                    printing = _print_startup_text(given, settings, parts, listener, prepared)
                    startup_texts.append(tasks.create_task(printing))
            await stopping.wait()
            if not failures:
                log.info("stopping", extra={"within_s": _SHUTDOWN_S})
            for startup_text_task in startup_texts:
                startup_text_task.cancel()
            _, late = await asyncio.wait(jobs, timeout=_SHUTDOWN_S)
            for job in late:
                job.cancel()
        if failures:
            raise failures[0]
    log.info("stopped, all connections are closed")


def _build_application(role: str, settings: Settings, parts: Dependencies) -> Starlette:
    if role == "worker":
        return metrics_endpoint(worker_metrics_page(settings, parts))
    from composition.gateway import application  # noqa: PLC0415  (a worker never loads the schema)

    return application(settings, parts)


async def rebuild_rollups(settings: Settings) -> None:
    """Recompute all sums of closed days; reports keep working. Share a running service's embedded services."""
    async with _open_claimed(settings) as parts:
        await parts.db.ensure_indexes(DOCUMENTS)
        days = await Rollups(parts.db).rebuild(datetime.now(UTC))
        log.info("sums of closed days recomputed", extra={"days": days})


async def sweep_once(*, dry_run: bool, confirm: bool) -> list[Action]:
    """Run the sweeper once. Next to a running service, share its embedded services."""
    settings = load_settings()
    async with _open_claimed(settings) as parts:
        if not dry_run:
            await parts.db.ensure_indexes(DOCUMENTS)
        from composition.worker import sweeper_of  # noqa: PLC0415  (a gateway never loads the worker)

        return await sweeper_of(settings, parts).sweep(dry_run=dry_run, confirm=confirm)


async def adopt_once() -> list[Action]:
    """Create records for machines that the sweeper holds and that have none, and return the outcome of each."""
    settings = load_settings()
    async with _open_claimed(settings) as parts:
        await parts.db.ensure_indexes(DOCUMENTS)
        from composition.worker import adoption_of, sweeper_of  # noqa: PLC0415  (a gateway never loads the worker)

        held = await sweeper_of(settings, parts).sweep(dry_run=True)
        return await adoption_of(parts).adopt(held)


async def rescue_once(address: Address) -> list[RescuedSlot]:
    """Bring the saves that lie on a host into the bucket; return the outcome of each slot."""
    from fleet.rescue import rescue  # noqa: PLC0415  (a gateway never loads asyncssh)

    async with _open_claimed(load_settings()) as parts:
        assert parts.streaming is not None, "a rescue reaches a machine"
        return await rescue(parts.db, parts.streaming, address)


@contextlib.asynccontextmanager
async def _open_claimed(given: Settings) -> AsyncIterator[Dependencies]:
    """Open the shared objects, and claim the database for this deployment."""
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(embedded(given))
        settings = completed(given, running)
        parts = await stack.enter_async_context(compose(settings))
        await _claim(parts, settings, given)()
        yield parts


def listen(host: str, port: int, variable: str) -> socket.socket:
    """Listen on the port before anything else starts. Raise SettingsError, naming `variable`, if it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the listener names TCP. Without it each answer on a kept-alive
    # connection waits for the client's delayed acknowledgement, about 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno or 0)
        raise SettingsError(
            f"{variable}: cannot listen on {host}:{port}: {reason}. Example: {variable}={port + 1}"
        ) from None
    return listener


async def prepare_database(
    db: Database,
    probe: WriteProbe,
    claim: Callable[[], Awaitable[None]],
    opened: asyncio.Event,
    prepared: asyncio.Event,
) -> None:
    """Claim the database, make its indexes and check once whether it accepts writes.

    `/ready` must know of a write since the start even if the first request comes while writes are refused.
    """
    await retry_until_available(claim, "mongodb")
    opened.set()
    await retry_until_available(lambda: db.ensure_indexes(DOCUMENTS), "mongodb")
    prepared.set()
    await probe.check()


async def _stop_on_failure(job: Awaitable[None], stopping: asyncio.Event, failures: list[GatewayError]) -> None:
    """Stop the service in an orderly way if the job fails.

    A task group would cancel the HTTP server, which logs a traceback then.
    """
    try:
        await job
    except GatewayError as error:
        failures.append(error)
        stopping.set()


async def _work(
    settings: Settings, parts: Dependencies, opened: asyncio.Event, stopping: asyncio.Event, *, adopt: bool
) -> None:
    await opened.wait()
    from composition.worker import work  # noqa: PLC0415  (a gateway never loads the worker)

    await work(settings, parts, stopping, adopt=adopt)


def _claim(
    parts: Dependencies, settings: Settings, given: Settings, *, adopt: bool = False
) -> Callable[[], Awaitable[None]]:
    """Return a function that claims the database for this deployment. `given` are the settings as they were set."""
    is_embedded = given.mongodb_atlas_uri is None
    known: list[Identity] = []

    async def claim() -> None:
        if not is_embedded:
            await check_address(secret_text(settings.mongodb_atlas_uri) or "", settings.mongodb_database)
        if not known:
            known.append(await identity_of(settings, parts.tensordock_account))
        await claim_database(parts.db, settings, known[0], adopt=adopt, embedded=is_embedded)

    return claim


async def _warm_up(parts: Dependencies, opened: asyncio.Event) -> None:
    """Load what the first request would otherwise wait for: Temporal's client, the gazetteer and the sites."""
    await retry_until_available(parts.engine.ping, "temporal")
    await opened.wait()
    for provider in parts.registry.all():
        with contextlib.suppress(GatewayError):
            await parts.placements.sites(provider.name)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SettingsError(f"DATA_DIR: cannot create {folder}: {reason}. Example: DATA_DIR=/var/lib/gamer") from None


class Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Restore the long queue of connections to accept, which uvicorn shortens to the number accepted at once."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield  # this module handles signals, so that gateway and worker stop together


def _server_config(settings: Settings, parts: Dependencies, app: Starlette) -> uvicorn.Config:
    heads = HeadLimits(settings.max_head_bytes, settings.max_headers)
    access_log = AccessLog(parts.metrics.http_answered)
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        backlog=_ACCEPTED_AT_ONCE,
        proxy_headers=False,  # the application reads them: see web.proxies
        http=hardened_http_protocol(
            settings.header_timeout_seconds,
            heads,
            settings.slow_reader_seconds,
            access_log=access_log,
            max_idle=settings.max_idle_connections,
        ),
        timeout_keep_alive=settings.keep_alive_seconds,
        ws=hardened_websocket_protocol(settings.slow_reader_seconds, settings.max_messages_per_minute, access_log),
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=3,
        server_header=False,
    )


async def _serve_http(
    settings: Settings, parts: Dependencies, app: Starlette, listener: socket.socket, stopping: asyncio.Event
) -> None:
    server = Server(_server_config(settings, parts, app))
    serving = asyncio.create_task(server.serve([listener]))
    await asyncio.wait([serving, asyncio.ensure_future(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
    if hasattr(app.state, "stopping"):
        app.state.stopping.set()  # event streams end before their connections are closed
    server.should_exit = True
    await serving
    stopping.set()


def _stop_signal() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set, and SIGHUP unless it is ignored (nohup)."""
    stopping = asyncio.Event()
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    for sign in signals:
        asyncio.get_running_loop().add_signal_handler(sign, stopping.set)
    return stopping


async def _log_start(settings: Settings, role: str, prepared: asyncio.Event) -> None:
    """Log what runs here once the database can be used."""
    await prepared.wait()
    about = {"version": VERSION, "role": role, "environment": settings.environment, "deployment": settings.deployment}
    log.info("started", extra=about)


async def _print_startup_text(
    given: Settings, settings: Settings, parts: Dependencies, listener: socket.socket, prepared: asyncio.Event
) -> None:
    """Print the startup text once the database and Temporal can be used. `given` are the settings as they were set."""
    await prepared.wait()
    await retry_until_available(parts.engine.ping, "temporal")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    simulated = {
        "TensorDock": is_loopback(settings.tensordock_api_url.host or ""),
        "CloudyPad": given.cloudypad_command is None and needs_simulator(given),
        "the game bucket": is_loopback(settings.gcs_endpoint_url.host or ""),
    }
    children = {
        "the database": given.mongodb_atlas_uri is None,
        "Temporal": given.temporal_address is None,
        "the simulator": needs_simulator(given),
    }
    text = startup_text(
        f"http://{host}:{listener.getsockname()[1]}",
        everyone_is=DEVELOPER.id if lets_developer_in(settings) else None,
        simulated=[name for name, so in simulated.items() if so],
        embedded=[name for name, so in children.items() if so],
    )
    print(text, flush=True)  # noqa: T201  (output for the terminal)


if __name__ == "__main__":
    sys.exit(main())
