"""Checks whether CloudyPad can be used here: its executable and Google's credentials."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from typing import Final

from errors import ProviderError
from providers.base import ProviderHealth
from providers.cloudypad.cli import CloudyPadCli
from providers.single_flight import Depart, SingleFlight
from providers.storage.tokens import Tokens

_PATIENCE_S: Final = 1.0
_CREDENTIALS_WITHIN_S: Final = 10.0
_VERSION_KEPT_S: Final = 10 * 60.0


@dataclass(frozen=True, slots=True)
class _Verdict:
    healthy: bool
    words: str


class Health:
    """Health of CloudyPad. Its version takes seconds to read, so a check does not wait; a later check reports it."""

    def __init__(self, cli: CloudyPadCli, tokens: Tokens, *, simulated: bool, kept_s: float) -> None:
        self._cli = cli
        self._tokens = tokens
        self._simulated = simulated
        self._version: SingleFlight[_Verdict] = SingleFlight(self._ask_version, _VERSION_KEPT_S)
        self._credentials: SingleFlight[str | None] = SingleFlight(self._ask_credentials, kept_s)

    async def close(self) -> None:
        await self._version.close()
        await self._credentials.close()

    async def get(self) -> ProviderHealth:
        """Return the health within seconds; never raises. A missing response in time does not count as unhealthy."""
        if not await asyncio.to_thread(_is_executable, self._cli.command):
            return self._health(False, "the executable `cloudypad` was not found (see CLOUDYPAD_COMMAND)")
        try:
            async with asyncio.timeout(_PATIENCE_S):
                if (trouble := await self._credentials.get()) is not None:
                    return self._health(False, trouble)
                verdict = await self._version.get()
                return self._health(verdict.healthy, verdict.words)
        except TimeoutError:
            return self._health(True, "CloudyPad's version is not known yet")

    def _health(self, healthy: bool, detail: str) -> ProviderHealth:
        return ProviderHealth(configured=True, healthy=healthy, simulated=self._simulated, detail=detail)

    async def _ask_version(self, _: Depart) -> _Verdict:
        """Read the version. A failure is cached as long as a success, because repeating costs the same seconds."""
        try:
            return _Verdict(True, f"CloudyPad {await self._cli.version()}; Google does not publish availability")
        except ProviderError as error:
            return _Verdict(False, error.message)

    async def _ask_credentials(self, _: Depart) -> str | None:
        """Return what is wrong with Google's credentials, as far as requesting a token shows; None if nothing."""
        try:
            async with asyncio.timeout(_CREDENTIALS_WITHIN_S):
                await self._tokens.token()
        except TimeoutError:
            return "no Google credentials: no response in time"
        except ProviderError as error:
            return f"no Google credentials: {error.message}"
        return None


def _is_executable(command: str) -> bool:
    return shutil.which(command, os.F_OK | os.X_OK) is not None
