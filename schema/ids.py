"""Global ids: a type name and a key, base64-encoded, so that `node` can find any object."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import strawberry

_MAX_ID: Final = 1024


def global_id(type_name: str, key: str) -> strawberry.ID:
    """Return the global id of an object."""
    return strawberry.ID(base64.b64encode(f"{type_name}:{key}".encode()).decode())


def parts(id: str) -> tuple[str, str] | None:
    """Return the type name and the key, or None if `global_id` did not create the id."""
    if len(id) > _MAX_ID or not id.isascii():
        return None
    try:
        type_name, _, key = base64.b64decode(id, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (type_name, key) if type_name and key else None


def key_of(type_name: str, id: str) -> str | None:
    """Return the key of an id of this type, or None for any other id."""
    found = parts(id)
    return found[1] if found and found[0] == type_name else None
