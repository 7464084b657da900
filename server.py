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
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette

from composition.announcement import log_start, print_startup_text
from composition.commands import (
    adopt_once,
    build_images_once,
    claim_with,
    one_line_errors,
    rebuild_rollups,
    rescue_once,
    sweep_once,
)
from composition.dependencies import Dependencies, compose
from composition.embedded_defaults import completed, embedded
from composition.http_server import listen, serve_http
from composition.identity import restrict
from composition.metrics import worker_metrics_page
from composition.tracing import traces
from composition.waiting import retry_until_available
from errors import GatewayError
from models.database import Database
from models.registry import DOCUMENTS
from models.write_probe import WriteProbe
from safety import refuse_unsafe
from settings import Environment, Settings, SettingsError, load_settings, setting_faults
from web.logging_setup import configure_logging
from web.metrics_endpoint import metrics_endpoint

# `python -m fleet.sweep` and `python -m fleet.rescue` import theirs from here.
__all__ = [
    "adopt_once",
    "build_images_once",
    "main",
    "one_line_errors",
    "prepare_database",
    "rescue_once",
    "serve",
    "sweep_once",
]

log = logging.getLogger("server")

_SHUTDOWN_S: Final = 10.0
_PREPARE_WAIT_S: Final = 3.0


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
        claim = claim_with(parts, settings, given, adopt=adopt)
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
            startup_texts = [tasks.create_task(log_start(settings, role, prepared))]
            if listener is not None:
                jobs.append(
                    tasks.create_task(
                        serve_http(settings, parts, _build_application(role, settings, parts), listener, stopping)
                    )
                )
                if settings.environment is Environment.DEVELOPMENT and role != "worker":
                    printing = print_startup_text(given, settings, parts, listener, prepared)
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


def _stop_signal() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set, and SIGHUP unless it is ignored (nohup)."""
    stopping = asyncio.Event()
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    for sign in signals:
        asyncio.get_running_loop().add_signal_handler(sign, stopping.set)
    return stopping


if __name__ == "__main__":
    sys.exit(main())
