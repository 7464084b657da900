"""The service's SSH key pair: generated once and kept on this host; the clouds get the public key."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncssh

from errors import ProviderRefusedError

_COMMENT: Final = "gamer-provisioner"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key pair. `public_key` is the line for a machine's authorized_keys. The repr omits the private key."""

    path: Path
    public_key: str
    private_key: asyncssh.SSHKey = field(repr=False, compare=False)


def ensure_key_pair(path: Path) -> KeyPair:
    """Return the key at `path`, creating it if needed. Concurrent processes get the same key.

    Raises ProviderRefusedError if the file cannot be used.
    """
    if not path.exists():
        _make(path)
    return _load(path)


def read_key_pair(path: Path) -> KeyPair:
    """Return the key at `path`. Raises ProviderRefusedError if it is missing or cannot be used."""
    return _load(path)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = asyncssh.generate_private_key("ssh-ed25519", comment=_COMMENT)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_private(draft, key.export_private_key())
        # Unlike a rename, a link never replaces a key that another process has just created.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _load(path: Path) -> KeyPair:
    try:
        key = asyncssh.read_private_key(path)
    except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise ProviderRefusedError(f"the SSH key {path} cannot be used: {type(error).__name__}") from error
    if not key.has_comment():
        key.set_comment(_COMMENT)
    return KeyPair(path, key.export_public_key().decode().strip(), key)
