"""Checks what a deployment needs, without renting or changing anything: `python server.py --check`.

All checks run at the same time, each with its own time limit, so that a silent service costs ten seconds and hides no
other fault. Each failed check says which variable is wrong and how to mend it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from composition.checks.addresses import check_token_keys, check_traces, check_webhook
from composition.checks.clouds import check_bucket, check_cloudypad, check_compute, check_google, check_tensordock
from composition.checks.outcome import CHECK_S, Check, CheckFailedError, CheckSkippedError
from composition.checks.process import check_data_folder, check_metrics_port, check_port, check_ssh_key
from composition.checks.stores import check_database, check_temporal
from composition.files import file_faults
from errors import ProviderError, UnavailableError, UnusableError
from safety import faults as unsafe_settings
from settings import Settings, SettingsError


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


async def preflight(settings: Settings, role: str) -> list[CheckResult]:
    """Run all checks that apply to the role, and return their results in a fixed order."""
    checks = _checks_of(role)
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


def _checks_of(role: str) -> dict[str, Check]:
    if role == "gateway":
        return {name: check for name, check in _CHECKS.items() if name not in _FOR_WORKERS}
    return {**_CHECKS, "port": check_metrics_port} if role == "worker" else _CHECKS


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
        async with asyncio.timeout(CHECK_S):
            return [CheckResult(name, CheckState.OK, await check(settings))]
    except CheckSkippedError as reason:
        return [CheckResult(name, CheckState.SKIPPED, str(reason))]
    except CheckFailedError as error:
        lines: Sequence[str] = error.lines
    except SettingsError as error:
        lines = [str(error)]
    except UnusableError as error:
        lines = [error.fault]
    except (ProviderError, UnavailableError) as error:
        lines = [f"{_VARIABLES[name]}: {error.message}"]
    except TimeoutError:
        lines = [f"{_VARIABLES[name]}: no response within {CHECK_S:g} seconds"]
    except Exception as error:  # one check must not hide the others; the text could hold a credential
        lines = [f"{_VARIABLES[name]}: the check failed unexpectedly ({type(error).__name__})"]
    return [CheckResult(name, CheckState.FAILED, line) for line in lines]


_CHECKS: Final[dict[str, Check]] = {
    "data folder": check_data_folder,
    "port": check_port,
    "ssh key": check_ssh_key,
    "database": check_database,
    "temporal": check_temporal,
    "tensordock": check_tensordock,
    "google": check_google,
    "compute": check_compute,
    "cloudypad": check_cloudypad,
    "bucket": check_bucket,
    "token keys": check_token_keys,
    "webhook": check_webhook,
    "traces": check_traces,
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
