"""The command `gamer`, run against a gateway that executes trusted documents only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from auth.callers import Caller
from cli.gamer_cli.main import app
from schema.execution.executor import GraphQLExecution
from tests.gateway import ANN, GatewayWorld, gateway, listening, token, web_gateway
from web.app import create_app
from web.health import Readiness

__all__ = ["gateway"]


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Gamer = Callable[..., Coroutine[Any, Any, Ended]]


@pytest.fixture
async def served(gateway: GatewayWorld) -> AsyncIterator[str]:
    """The address of a gateway."""
    execution = GraphQLExecution(trusted_only=True)
    async with listening(create_app(web_gateway(gateway, execution=execution), Readiness({}))) as address:
        yield f"http://{address}"


@pytest.fixture
def gamer(served: str, own_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Gamer:
    """Run a command as a caller, ann unless another one is named. `at` is another address."""

    async def run(*arguments: str, caller: Caller | None = ANN, at: str = served, typed: str = "") -> Ended:
        monkeypatch.setenv("GAMER_URL", at)
        monkeypatch.setenv("GAMER_TOKEN", "" if caller is None else token(caller, lasting_s=600))
        return await run_command(*arguments, typed=typed)

    return run


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the client's settings; there is no keyring."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("GAMER_URL", "GAMER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "gamer"


async def run_command(*arguments: str, typed: str = "") -> Ended:
    """Run a command in a thread, because it has an event loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), input=typed)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)
