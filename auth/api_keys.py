"""API keys: creation, verification and revocation.

A key reads `gamer_<id>_<secret>`. The id finds the document; the secret is 256 random bits and is shown once. Only a
hash is stored, keyed with API_KEY_SECRET, so that a copy of the database alone is of no use. To change API_KEY_SECRET,
put the old value into API_KEY_SECRET_PREVIOUS: each key is hashed again when it is next used. After the old value is
removed, keys that were not used in between are void.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from pydantic import SecretStr

from auth.callers import API_KEY_CALLER_PREFIX, Caller, Role
from errors import InvalidInputError, NotFoundError, UnauthenticatedError
from models.api_keys import ApiKey
from models.audit import AuditEntry, Outcome, new_entry, write_with
from models.database import Database, Document, best_effort

log = logging.getLogger(__name__)

MIN_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(r"gamer_([0-9a-f]{16})_[A-Za-z0-9_-]{43}", re.ASCII)
_KEY_ID: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", re.ASCII)
_USE_NOTED_EVERY: Final = timedelta(minutes=1)
_NO_DIGEST: Final = "0" * 64


class KeyHasher:
    """Hashes with the current secret, and also matches hashes made with the previous one.

    Raises ValueError if a secret is too short.
    """

    def __init__(self, current: SecretStr, previous: SecretStr | None = None) -> None:
        self._secrets = [secret.get_secret_value().encode() for secret in (current, previous) if secret is not None]
        if any(len(secret) < MIN_SECRET_BYTES for secret in self._secrets):
            raise ValueError(f"an API key secret must have at least {MIN_SECRET_BYTES} bytes")

    def digest(self, key: SecretStr) -> str:
        return _digest(self._secrets[0], key)

    def matches(self, key: SecretStr, digest: str) -> bool:
        """Return whether the key has this digest, in constant time."""
        found = [hmac.compare_digest(_digest(secret, key), digest) for secret in self._secrets]
        return any(found)


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A new key with its secret, which exists only here: it is returned to the caller and never stored."""

    api_key: ApiKey
    secret: SecretStr


class ApiKeys:
    def __init__(
        self, db: Database, hasher: KeyHasher, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._db = db
        self._hasher = hasher
        self._now = now
        self._being_noted: set[str] = set()

    async def create(self, actor: Caller, name: str, role: Role, expires_at: datetime | None = None) -> NewApiKey:
        """Create a key and its audit entry. Raises InvalidInputError with the path of the field."""
        now = self._now()
        if _NAME.fullmatch(name) is None:
            raise InvalidInputError(
                "a name must have 1 to 64 letters, digits, spaces, dots, underscores and dashes", ("name",)
            )
        if expires_at is not None and (expires_at.tzinfo is None or expires_at <= now):
            raise InvalidInputError("expiresAt must be in the future", ("expiresAt",))
        key_id = secrets.token_hex(8)
        secret = SecretStr(f"gamer_{key_id}_{secrets.token_urlsafe(32)}")
        api_key = ApiKey(
            id=key_id,
            name=name,
            role=role,
            digest=self._hasher.digest(secret),
            created_by=actor.id,
            created_at=now,
            expires_at=expires_at,
        )
        await write_with(
            self._db,
            lambda: self._db.insert(api_key),
            lambda _: self._entry(actor, "createApiKey", key_id, f"{name}, {role}"),
        )
        return NewApiKey(api_key, secret)

    async def revoke(self, actor: Caller, key_id: str) -> ApiKey:
        """Revoke a key with immediate effect.

        May be repeated: the first time counts, and each call is in the audit log. Raises NotFoundError for an unknown
        key.
        """
        api_key = await self.find(key_id)
        if api_key is None:
            raise NotFoundError("there is no API key with this id", ("apiKeyId",))

        async def mark() -> tuple[ApiKey, str]:
            now: Document = {"$set": {"revoked_at": self._now()}}
            revoked = await self._db.update(ApiKey, {"_id": key_id, "revoked_at": None}, now)
            if revoked is not None:
                return revoked, revoked.name
            return await self.find(key_id) or api_key, f"{api_key.name}, revoked before"

        revoked, _ = await write_with(
            self._db, mark, lambda marked: self._entry(actor, "revokeApiKey", key_id, marked[1])
        )
        return revoked

    async def find(self, key_id: str) -> ApiKey | None:
        """Return the key, or None if it does not exist or the id is malformed."""
        return await self._db.get(ApiKey, key_id) if _KEY_ID.fullmatch(key_id) else None

    async def verify(self, key: SecretStr) -> Caller:
        """Return the caller with this key.

        Raises UnauthenticatedError if the key is not valid. Only the log contains the reason.
        """
        parts = _KEY.fullmatch(key.get_secret_value())
        if parts is None:
            raise _log_refusal("malformed")
        api_key = await self._db.get(ApiKey, parts[1])
        matches = self._hasher.matches(key, _NO_DIGEST if api_key is None else api_key.digest)
        if api_key is None or not matches:
            raise _log_refusal("no such key", parts[1])
        if not api_key.is_valid_at(self._now()):
            raise _log_refusal("it is revoked or has expired", parts[1])
        await self._note_use(api_key, self._hasher.digest(key))
        return Caller(API_KEY_CALLER_PREFIX + api_key.id, api_key.role, api_key.expires_at)

    async def _note_use(self, api_key: ApiKey, digest: str) -> None:
        now = self._now()
        changes: Document = {}
        if api_key.last_used_at is None or now - api_key.last_used_at >= _USE_NOTED_EVERY:
            changes["last_used_at"] = now
        if digest != api_key.digest:
            changes["digest"] = digest
        if not changes or api_key.id in self._being_noted:
            return
        self._being_noted.add(api_key.id)
        try:
            # Guarded by the values that were read: only one of several processes writes.
            guard: Document = {"_id": api_key.id, "last_used_at": api_key.last_used_at, "digest": api_key.digest}
            with best_effort():
                await self._db.update(ApiKey, guard, {"$set": changes})
        finally:
            self._being_noted.discard(api_key.id)

    def _entry(self, actor: Caller, action: str, key_id: str, detail: str) -> AuditEntry:
        return new_entry(actor.id, actor.role, action, Outcome.DONE, subject_id=key_id, detail=detail, at=self._now())


def load_or_create_secret(path: Path) -> SecretStr:
    """Return the secret in this file, creating it with mode 0600 if needed.

    For a single host without API_KEY_SECRET.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=path.parent, encoding="ascii") as file:  # made with mode 0600
            file.write(secrets.token_urlsafe(48))
            file.flush()
            with suppress(FileExistsError):  # of two processes that start at once, the first one wins
                os.link(file.name, path)
    return SecretStr(path.read_text(encoding="ascii").strip())


def _digest(secret: bytes, key: SecretStr) -> str:
    return hmac.new(secret, key.get_secret_value().encode(), "sha256").hexdigest()


def _log_refusal(reason: str, key_id: str | None = None) -> UnauthenticatedError:
    log.info("API key refused", extra={"reason": reason, "key": key_id})
    return UnauthenticatedError("the API key is not valid")
