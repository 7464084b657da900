"""Pairing: the PIN that Moonlight shows its player is handed to Wolf, and the device is given the player's folder."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from errors import InvalidInputError, InvalidStateError
from streaming import wolf
from streaming.name_checks import checked_pin, folder_of
from streaming.ssh import Shell
from streaming.wolf_api import WolfApi, WolfFaultError

_USED: Final = "/var/lib/gamer/pairing-used.json"
_PAIRED_WORDS: Final = ("Succesfully paired", "Successfully paired")  # Wolf's log; the first is how it spells it
_LOG_LINES: Final = "2000"
_MOST_WAITING: Final = 3


class Pairing:
    """`patience_s` is how long a request is waited for; `settle_s` how long a device gets to end its handshake."""

    def __init__(self, *, patience_s: float = 20, settle_s: float = 10, pause_s: float = 1) -> None:
        self._patience_s = patience_s
        self._settle_s = settle_s
        self._pause_s = pause_s

    async def pair(self, shell: Shell, pin: str, user_id: str) -> None:
        """Returns when the device is paired.

        Raises InvalidInputError for a wrong PIN; InvalidStateError with status NO_PAIRING_REQUEST when no device
        asks to be paired, PAIRING_EXPIRED when the one that asked gave up meanwhile, TOO_MANY_REQUESTS when it
        cannot be told which device is meant.
        """
        checked_pin(pin)
        api = WolfApi(shell)
        before = await _Paired.now(shell, api)
        waiting = await self._waiting(shell, api)
        await _hand_over(api, waiting, pin)
        await self._await_paired(shell, api, before)
        await self._give_folder(shell, api, folder_of(user_id))

    async def _waiting(self, shell: Shell, api: WolfApi) -> Sequence[str]:
        """The secrets of the requests that wait, each of them handed out once: older builds go on listing a request
        that was answered, and a second answer to it would end them."""
        used = await _used(shell)
        deadline = _now() + self._patience_s
        while not (fresh := [secret for secret in await _pending(api) if secret not in used]):
            if _now() >= deadline:
                raise InvalidStateError(
                    "no device asks to be paired: choose this machine in Moonlight first", "NO_PAIRING_REQUEST"
                )
            await asyncio.sleep(self._pause_s)
        await _remember(shell, [*used, *fresh])
        if len(fresh) > _MOST_WAITING:
            raise InvalidStateError(
                "too many devices ask to be paired: end the others and begin again", "TOO_MANY_REQUESTS"
            )
        return fresh

    async def _await_paired(self, shell: Shell, api: WolfApi, before: _Paired) -> None:
        """Wolf takes any PIN; whether it was right shows in what the device does next."""
        deadline = _now() + self._settle_s
        while not (await _Paired.now(shell, api)).beyond(before):
            if _now() >= deadline:
                raise InvalidInputError("this is not the PIN that Moonlight shows; begin again there", ("pin",))
            await asyncio.sleep(self._pause_s)

    async def _give_folder(self, shell: Shell, api: WolfApi, folder: str) -> None:
        """All devices of the machine keep their files in the player's folder, where saves are looked for."""
        try:
            for client in await api.get("clients", "clients"):
                if client.get("app_state_folder") != folder:
                    given = {"client_id": client.get("client_id"), "app_state_folder": folder, "settings": None}
                    await api.post("clients/settings", given)
        except WolfFaultError:
            # An older build takes it from its file alone, and restarts for it: after the handshake's last words.
            await asyncio.sleep(3 * self._pause_s)
            await wolf.keep_state_of_all_clients(shell, folder)


@dataclass(frozen=True, slots=True)
class _Paired:
    """The paired devices, and the pairings that the end of Wolf's log tells of, line by line: a device that comes back
    keeps its old id."""

    ids: frozenset[str]
    told: tuple[str, ...]

    @classmethod
    async def now(cls, shell: Shell, api: WolfApi) -> _Paired:
        ids = frozenset(str(client.get("client_id")) for client in await api.get("clients", "clients"))
        log = await shell.sudo("docker", "logs", "--tail", _LOG_LINES, wolf.CONTAINER)
        lines = (log.stdout + log.stderr).decode(errors="replace").splitlines()
        return cls(ids, tuple(line for line in lines if any(words in line for words in _PAIRED_WORDS)))

    def beyond(self, before: _Paired) -> bool:
        """A new line may push an old one out of what is read; the time that begins it tells the two apart."""
        told_anew = len(self.told) > len(before.told) or (self.told and self.told[-1:] != before.told[-1:])
        return bool(told_anew) or not self.ids <= before.ids


async def _pending(api: WolfApi) -> list[str]:
    return [
        str(request["pair_secret"]) for request in await api.get("pair/pending", "requests") if "pair_secret" in request
    ]


async def _hand_over(api: WolfApi, secrets: Sequence[str], pin: str) -> None:
    """To every request that waits: a device that gave up ignores it. At least one must take it."""
    taken = 0
    for secret in secrets:
        try:
            await api.post("pair/client", {"pair_secret": secret, "pin": pin})
            taken += 1
        except WolfFaultError:
            continue
    if not taken:
        raise InvalidStateError("the device gave up waiting: begin again in Moonlight", "PAIRING_EXPIRED")


async def _used(shell: Shell) -> list[str]:
    content = await shell.read_file(_USED)
    try:
        used = orjson.loads(content or b"[]")
    except orjson.JSONDecodeError:
        used = []
    return [str(secret) for secret in used] if isinstance(used, list) else []


async def _remember(shell: Shell, used: Sequence[str]) -> None:
    await shell.sudo("install", "-d", "-m", "0755", "/var/lib/gamer")
    await shell.write_file(_USED, orjson.dumps(list(used)[-100:]), 0o600)


def _now() -> float:
    return asyncio.get_running_loop().time()
