"""Wolf's config.toml, which Wolf reads when it starts and rewrites when a client pairs."""

from __future__ import annotations

import hashlib
import ssl
import tomllib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

MOONLIGHT_PROFILE = "moonlight-profile-id"
OLDEST_WITH_PROFILES = 6  # 7 to 9 differ in the encoders' settings alone; Wolf refuses no version
DEFAULT_SETTINGS: Mapping[str, Any] = {
    "run_uid": 1000,
    "run_gid": 1000,
    "controllers_override": [],
    "mouse_acceleration": 1.0,
    "v_scroll_acceleration": 1.0,
    "h_scroll_acceleration": 1.0,
}


class ConfigError(Exception):
    """Wolf cannot work with the file."""


@dataclass(slots=True)
class Client:
    """A paired Moonlight. Its id is a number of 64 bits, derived from its certificate."""

    id: str
    cert: str
    app_state_folder: str
    settings: dict[str, Any]


class WolfConfig:
    """The file as it was at the start. The container has bound this one file, so that Wolf writes to the inode that it
    opened then; another file in its place is not touched."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = path.stat().st_ino if path.exists() else 0
        self._content = _read(path)
        self.hostname = str(self._content.get("hostname", "Wolf"))
        self.uuid = str(self._content.get("uuid") or uuid.uuid4())
        self.apps = _apps(self._content)
        self.clients = [_client(entry) for entry in self._content.get("paired_clients", ())]

    def client(self, client_id: str) -> Client | None:
        return next((client for client in self.clients if client.id == client_id), None)

    def client_with(self, certificate: bytes | None) -> Client | None:
        """Return the paired client with this certificate, in DER."""
        return next((one for one in self.clients if certificate and _der(one.cert) == certificate), None)

    def pair(self, cert: str) -> Client:
        """Add a client, and return it. One that is known is not added again."""
        known = self.client(client_id(cert))
        if known:
            return known
        client = _client({"client_cert": cert})
        self.clients.append(client)
        self.save()
        return client

    def unpair(self, client: Client) -> None:
        self.clients.remove(client)
        self.save()

    def save(self) -> None:
        if not self._path.exists() or self._path.stat().st_ino != self._inode:
            return
        self._content["paired_clients"] = [
            {"client_cert": one.cert, "app_state_folder": one.app_state_folder, "settings": one.settings}
            for one in self.clients
        ]
        self._path.write_text(tomlkit.dumps(self._content))


def app_id(app: Mapping[str, Any], number: int) -> str:
    """Return the id by which Moonlight starts an app, a number of 31 bits."""
    return str(app.get("id") or number)


def _der(cert: str) -> bytes | None:
    try:
        return ssl.PEM_cert_to_DER_cert(cert.strip())
    except ValueError:
        return None


def client_id(cert: str) -> str:
    return str(int.from_bytes(hashlib.sha256(cert.strip().encode()).digest()[:8]))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError("Unable to open config file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"Error parsing config file: {error}") from None
    version = content.get("config_version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise ConfigError(f"Unsupported config_version: {version!r}")
    if not isinstance(content.get("paired_clients", []), list):
        raise ConfigError("paired_clients is not an array")
    return content


def _apps(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the apps of Moonlight's profile; none from older files, which have no profiles."""
    if content["config_version"] < OLDEST_WITH_PROFILES:
        return []
    profiles = content.get("profiles", [])
    if not isinstance(profiles, list) or not all(isinstance(one, dict) and "id" in one for one in profiles):
        raise ConfigError("profiles is not an array of tables with an id")
    apps = [app for one in profiles if one["id"] == MOONLIGHT_PROFILE for app in one.get("apps", ())]
    for app in apps:
        _check(app)
    return apps


def _check(app: Any) -> None:
    runner = app.get("runner") if isinstance(app, dict) else None
    if not isinstance(runner, dict) or "title" not in app:
        raise ConfigError("an app needs a title and a runner")
    needed = {"docker": ("name", "image"), "process": ("run_cmd",), "child_session": ()}.get(str(runner.get("type")))
    if needed is None:
        raise ConfigError(f"Unknown runner type: {runner.get('type')!r}")
    missing = [key for key in needed if not isinstance(runner.get(key), str)]
    if missing and "un_cmd" not in runner:
        raise ConfigError(f"runner of {app['title']!r} lacks {missing[0]}")


def _client(entry: Mapping[str, Any]) -> Client:
    identity = client_id(str(entry.get("client_cert", "")))
    return Client(
        id=identity,
        cert=str(entry.get("client_cert", "")),
        app_state_folder=str(entry.get("app_state_folder") or identity),
        settings={**DEFAULT_SETTINGS, **dict(entry.get("settings", {}))},
    )
