"""Pairing: sends Wolf the PIN that Moonlight shows, and assigns the device the player's folder."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from errors import InvalidInputError, InvalidStateError
from streaming import wolf
from streaming.name_checks import folder_of, validate_pin
from streaming.ssh import Shell
from streaming.wolf_api import WolfApi, WolfFaultError

USED_FILE: Final = "/var/lib/gamer/pairing-used.json"
_PAIRED_WORDS: Final = ("Succesfully paired", "Successfully paired")  # in Wolf's log; the first is Wolf's own spelling
_LOG_LINES: Final = "2000"
_MOST_WAITING: Final = 3
_HANDSHAKE_PAUSES: Final = 12


class Pairing:
    """Pairs devices. `patience_s`: time for a request to appear; `settle_s`: time for a device's handshake."""

    def __init__(self, *, patience_s: float = 4, settle_s: float = 6, pause_s: float = 0.25) -> None:
        self._patience_s = patience_s
        self._settle_s = settle_s
        self._pause_s = pause_s

    async def pair(self, shell: Shell, pin: str, user_id: str) -> None:
        """Pair the device.

        Raises InvalidInputError for a wrong PIN, and InvalidStateError with status NO_PAIRING_REQUEST if no device
        requests pairing, PAIRING_EXPIRED if the device gave up, or TOO_MANY_REQUESTS if it is unclear which device is
        meant.
        """
        await self.pair_next(shell, pin, user_id, await self.known(shell))

    async def known(self, shell: Shell) -> PairedDevices:
        """Return the devices that are paired now, for `pair_next` to compare with."""
        return await PairedDevices.now(shell, WolfApi(shell))

    async def pair_next(self, shell: Shell, pin: str, user_id: str, known: PairedDevices) -> None:
        """Pair the next device that requests it, or find that one was paired since `known`. Raises as `pair` does."""
        validate_pin(pin)
        if await self.finish(shell, user_id, known):
            return
        api = WolfApi(shell)
        waiting = await self._wait_for_requests(shell, api)
        await _send_pin(api, waiting, pin)
        await self._await_paired(shell, api, known)
        await self._give_folder(shell, api, folder_of(user_id))

    async def finish(self, shell: Shell, user_id: str, known: PairedDevices) -> bool:
        """Give a device that was paired since `known` the player's folder; return whether there is one."""
        api = WolfApi(shell)
        if not (await PairedDevices.now(shell, api)).has_new_since(known):
            return False
        await self._give_folder(shell, api, folder_of(user_id))
        return True

    async def _wait_for_requests(self, shell: Shell, api: WolfApi) -> Sequence[str]:
        """Wait for pairing requests and return their secrets, each only once.

        Older builds keep listing an answered request, and a second answer to it would end them.
        """
        used = await _read_used(shell)
        deadline = _now() + self._patience_s
        while not (fresh := [secret for secret in await _pending(api) if secret not in used]):
            if _now() >= deadline:
                raise InvalidStateError(
                    "no device requests pairing: select this machine in Moonlight first", "NO_PAIRING_REQUEST"
                )
            await asyncio.sleep(self._pause_s)
        await _store_used(shell, [*used, *fresh])
        if len(fresh) > _MOST_WAITING:
            raise InvalidStateError(
                "too many devices request pairing: cancel the others and start again", "TOO_MANY_REQUESTS"
            )
        return fresh

    async def _await_paired(self, shell: Shell, api: WolfApi, before: PairedDevices) -> None:
        """Wait until a device is paired.

        Wolf accepts any PIN; whether it was right shows only in the device's next step.
        """
        deadline = _now() + self._settle_s
        while not (await PairedDevices.now(shell, api)).has_new_since(before):
            if _now() >= deadline:
                raise InvalidInputError("this is not the PIN that Moonlight shows: start again in Moonlight", ("pin",))
            await asyncio.sleep(self._pause_s)

    async def _give_folder(self, shell: Shell, api: WolfApi, folder: str) -> None:
        """Assign the player's folder to all devices of the machine, because saves are read from it."""
        try:
            for client in await api.get("clients", "clients"):
                if client.get("app_state_folder") != folder:
                    given = {"client_id": client.get("client_id"), "app_state_folder": folder, "settings": None}
                    await api.post("clients/settings", given)
        except WolfFaultError:
            # An older build reads it only from its file and needs a restart, which must follow the end of the
            # handshake.
            await asyncio.sleep(_HANDSHAKE_PAUSES * self._pause_s)
            await wolf.keep_state_of_all_clients(shell, folder)


@dataclass(frozen=True, slots=True)
class PairedDevices:
    """The paired devices, and the pairings in the end of Wolf's log, line by line.

    The log is needed because a device that returns keeps its old id.
    """

    ids: frozenset[str]
    lines_of_pairings: tuple[str, ...]

    @classmethod
    async def now(cls, shell: Shell, api: WolfApi) -> PairedDevices:
        ids = frozenset(str(client.get("client_id")) for client in await api.get("clients", "clients"))
        log = await shell.sudo("docker", "logs", "--tail", _LOG_LINES, wolf.CONTAINER)
        lines = (log.stdout + log.stderr).decode(errors="replace").splitlines()
        return cls(ids, tuple(line for line in lines if any(words in line for words in _PAIRED_WORDS)))

    def has_new_since(self, before: PairedDevices) -> bool:
        """Return whether a device was paired since `before`.

        A new line may push an old one out of the part that is read; the time at its start distinguishes the two.
        """
        has_new_line = len(self.lines_of_pairings) > len(before.lines_of_pairings) or (
            self.lines_of_pairings and self.lines_of_pairings[-1:] != before.lines_of_pairings[-1:]
        )
        return bool(has_new_line) or not self.ids <= before.ids


async def _pending(api: WolfApi) -> list[str]:
    return [
        str(request["pair_secret"]) for request in await api.get("pair/pending", "requests") if "pair_secret" in request
    ]


async def _send_pin(api: WolfApi, secrets: Sequence[str], pin: str) -> None:
    """Send the PIN for every waiting request; a device that gave up ignores it. At least one must accept it."""
    taken = 0
    for secret in secrets:
        try:
            await api.post("pair/client", {"pair_secret": secret, "pin": pin})
            taken += 1
        except WolfFaultError:
            continue
    if not taken:
        raise InvalidStateError("the device stopped waiting: start again in Moonlight", "PAIRING_EXPIRED")


async def _read_used(shell: Shell) -> list[str]:
    content = await shell.read_file(USED_FILE)
    try:
        used = orjson.loads(content or b"[]")
    except orjson.JSONDecodeError:
        used = []
    return [str(secret) for secret in used] if isinstance(used, list) else []


async def _store_used(shell: Shell, used: Sequence[str]) -> None:
    await shell.sudo("install", "-d", "-m", "0755", "/var/lib/gamer")
    await shell.write_file(USED_FILE, orjson.dumps(list(used)[-100:]), 0o600)


def _now() -> float:
    return asyncio.get_running_loop().time()
