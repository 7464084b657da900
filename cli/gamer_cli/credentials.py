"""Where the service is and the token for it: kept in the system's keyring, or in a file with mode 0600."""

from __future__ import annotations

import ipaddress
import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final
from urllib.parse import urlsplit

import typer

from .exits import CommandError, ExitStatus

_NAME: Final = "gamer"
_ACCOUNT: Final = "service"
_API_KEY_PREFIX: Final = "gamer_"
URL_VARIABLE: Final = "GAMER_URL"
TOKEN_VARIABLE: Final = "GAMER_TOKEN"  # noqa: S105  (a variable's name)


class Store(StrEnum):
    """Places that keep the credentials."""

    AUTO = "auto"
    KEYRING = "keyring"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The address of the service, and a token or API key. The repr does not show the token."""

    url: str
    token: str | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Return the header that carries the token."""
        if self.token is None:
            return {}
        if self.token.startswith(_API_KEY_PREFIX):
            return {"X-API-Key": self.token}
        return {"Authorization": f"Bearer {self.token}"}


def checked_url(text: str) -> str:
    """Return an address without its trailing slash. Raise CommandError if tokens must not be sent to it."""
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise CommandError("the address must be like https://games.example.com", ExitStatus.USAGE)
    if parts.username or parts.password:
        raise CommandError("the address must not contain a password", ExitStatus.USAGE)
    if parts.scheme == "http" and not _is_this_machine(parts.hostname):
        raise CommandError("the address must begin with https://, except on this machine", ExitStatus.USAGE)
    return text.strip().rstrip("/")


def checked_token(text: str) -> str | None:
    """Return a token, or None for an empty text. Raise CommandError if no header can carry it."""
    token = text.strip()
    if not all("\x21" <= character <= "\x7e" for character in token):
        raise CommandError("the token has characters that no token has", ExitStatus.USAGE)
    return token or None


def load() -> Credentials:
    """Return the credentials of the environment, else the kept ones. Raise CommandError if there are none.

    A kept token is sent only to the address that it was kept with.
    """
    url, token = os.environ.get(URL_VARIABLE), os.environ.get(TOKEN_VARIABLE)
    if url:
        return Credentials(checked_url(url), checked_token(token or ""))
    kept = _read_file() or _read_keyring()
    if kept is None:
        raise CommandError("not logged in: run `gamer login`", ExitStatus.NOT_ALLOWED)
    return Credentials(kept.url, checked_token(token)) if token else kept


def keep(credentials: Credentials, store: Store) -> str:
    """Keep the credentials in one place only, and return its name."""
    if store is not Store.FILE and _write_keyring(credentials):
        _file().unlink(missing_ok=True)
        return "the keyring"
    if store is Store.KEYRING:
        raise CommandError("there is no usable keyring here: use --store file", ExitStatus.UNAVAILABLE)
    _write_file(credentials)
    _delete_keyring()
    return str(_file())


def forget() -> None:
    """Delete the credentials from every place."""
    _file().unlink(missing_ok=True)
    _delete_keyring()


def _is_this_machine(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _file() -> Path:
    return Path(typer.get_app_dir(_NAME)) / "credentials.json"


def _read_file() -> Credentials | None:
    path = _file()
    try:
        with path.open(encoding="utf-8") as file:
            if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise CommandError(f"other users may read {path}: run `chmod 600 {path}`", ExitStatus.NOT_ALLOWED)
            return _parsed(file.read(), str(path))
    except FileNotFoundError:
        return None


def _write_file(credentials: Credentials) -> None:
    path = _file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The temporary file has mode 0600 from its creation, and takes the place of an earlier one in one step.
    with NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", delete=False) as file:
        file.write(_printed(credentials))
    Path(file.name).replace(path)


def _read_keyring() -> Credentials | None:
    import keyring  # noqa: PLC0415  (slow to import, and not needed where a file or the environment has the token)
    from keyring.errors import KeyringError  # noqa: PLC0415  (see above)

    try:
        text = keyring.get_password(_NAME, _ACCOUNT)
    except (KeyringError, RuntimeError):
        return None
    return None if text is None else _parsed(text, "the keyring")


def _write_keyring(credentials: Credentials) -> bool:
    import keyring  # noqa: PLC0415  (see above)
    from keyring.errors import KeyringError  # noqa: PLC0415  (see above)

    if keyring.get_keyring().priority < 1:
        return False
    try:
        keyring.set_password(_NAME, _ACCOUNT, _printed(credentials))
    except (KeyringError, RuntimeError):
        return False
    return True


def _delete_keyring() -> None:
    import keyring  # noqa: PLC0415  (see above)
    from keyring.errors import KeyringError  # noqa: PLC0415  (see above)

    with suppress(KeyringError, RuntimeError):
        keyring.delete_password(_NAME, _ACCOUNT)


def _printed(credentials: Credentials) -> str:
    return json.dumps({"url": credentials.url, "token": credentials.token})


def _parsed(text: str, place: str) -> Credentials:
    try:
        content = json.loads(text)
        return Credentials(checked_url(content["url"]), checked_token(content["token"] or ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CommandError(f"{place} has no valid credentials: run `gamer login`", ExitStatus.NOT_ALLOWED) from None
