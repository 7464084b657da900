"""Wolf, the streaming server on a machine: writes its configuration and keeps its pairings."""

from __future__ import annotations

import asyncio
import logging
import tomllib
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import tomlkit

from errors import ProviderBusyError
from providers.storage.bucket import Bucket
from streaming.apps import START_FOLDER, App, GameLink
from streaming.emulator_files import bring_core
from streaming.saves.archive import PLAYER_ID, pack_link
from streaming.saves.slots import STATE_ROOT
from streaming.ssh import Shell

log = logging.getLogger(__name__)

CONTAINER: Final = "wolf"
CONFIG: Final = "wolf/config.toml"  # in the login user's home folder
_RESTART_DUE: Final = "wolf/restart-due"  # exists from before a change until Wolf runs with it
_VERSION: Final = 6
_LISTED: Final = "moonlight-profile-id"  # the only profile with apps that Moonlight shows
_RESTART_S: Final = 120


async def configure(shell: Shell, bucket: Bucket, app: App) -> str | None:
    """Make Moonlight list this app. If it is already listed, Wolf and its streams are left alone.

    Returns what prevents the game from starting, in words for the player; None if nothing does.
    """
    lacking = None
    if app.core is not None and not await bring_core(shell, bucket, app.core):
        lacking = f"RetroArch opens its menu instead of the game: the library has no cores/{app.core}_libretro.so"
    if app.script is not None:
        await shell.sudo("install", "-d", "-m", "0755", START_FOLDER)
        await shell.write_file(app.script.path, app.script.text.encode(), 0o755)
    if app.link is not None:
        await _place_link(shell, app, app.link)
    await _rewrite(shell, lambda text: build_configuration(text, app))
    return lacking


async def _place_link(shell: Shell, app: App, link: GameLink) -> None:
    """Create the link as the player's user. Its target is sent as data, so the file's name is in no command."""
    user, home = str(PLAYER_ID), f"{STATE_ROOT}/{app.state_folder}/{app.title}"
    parent = home.rpartition("/")[0]
    await shell.sudo("install", "-d", "-o", user, "-g", user, "-m", "0755", parent, home)
    await shell.run_as_user(PLAYER_ID, "mkdir", "-p", f"{home}/{link.path.rpartition('/')[0]}")
    packed = pack_link(link.path, link.target)
    await shell.run_as_user(PLAYER_ID, "tar", "-C", home, "-xzf", "-", input=packed)


async def keep_state_of_all_clients(shell: Shell, state_folder: str) -> None:
    """Make every paired device use this folder, for builds of Wolf that cannot change it while they run."""
    await _rewrite(shell, lambda text: _with_state_folder(text, state_folder))


def build_configuration(existing: str, app: App) -> str:
    """Return the configuration with this one app. Identity, paired devices and foreign settings are kept."""
    config = _parse(existing)
    version = config.get("config_version")
    config["config_version"] = version if isinstance(version, int) and version > _VERSION else _VERSION
    config.setdefault("hostname", "Gamer")
    config.setdefault("uuid", str(uuid4()))
    config.pop("apps", None)  # older versions kept them here; newer ones ignore it
    config["profiles"] = [{"id": _LISTED, "name": "Moonlight", "apps": [app.table()]}]
    return serialize(_set_client_folders(config, app.state_folder))


def _with_state_folder(existing: str, state_folder: str) -> str:
    return serialize(_set_client_folders(_parse(existing), state_folder))


def _set_client_folders(config: dict[str, Any], state_folder: str) -> dict[str, Any]:
    clients = config.get("paired_clients", [])
    config["paired_clients"] = [
        {**client, "app_state_folder": state_folder} for client in clients if isinstance(client, dict)
    ]
    return config


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        log.warning("Wolf's configuration is unreadable, replacing it; devices must pair again")
        return {}


def serialize(config: dict[str, Any]) -> str:
    """Write plain values before tables, as TOML requires."""
    ordered = sorted(config.items(), key=lambda item: _is_table(item[1]))
    return tomlkit.dumps(dict(ordered))


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))


async def _rewrite(shell: Shell, change: Callable[[str], str]) -> None:
    """Read, change and write the configuration in place, and restart Wolf if needed.

    The container has mounted this one file, hence in place. The restart also happens if a worker that made a change did
    not live to complete it.
    """
    existing = await shell.read_file(CONFIG)
    if existing is None:
        raise ProviderBusyError("Wolf is not installed on this machine yet")
    text = existing.decode(errors="replace")
    changed = await asyncio.to_thread(change, text)
    is_new = tomllib.loads(changed) != _parse_quietly(text)
    if not is_new and await shell.read_file(_RESTART_DUE) is None:
        return
    await shell.sudo("touch", _RESTART_DUE)
    if is_new:
        await shell.write_file(CONFIG, changed.encode(), 0o644, in_place=True)
    await shell.sudo("docker", "restart", CONTAINER, timeout_s=_RESTART_S)
    await shell.sudo("rm", "-f", _RESTART_DUE)


def _parse_quietly(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
