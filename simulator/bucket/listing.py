"""Lists of objects: by prefix, folded at a delimiter, in pages."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from simulator.bucket.objects import StoredObject
from simulator.bucket.store import ObjectStore

PAGE_LIMIT = 1000


def listed(store: ObjectStore, bucket: str, query: Mapping[str, str], base_url: str) -> dict[str, Any]:
    """Return one page. Raises ValueError for an invalid page size or token."""
    size = min(int(query.get("maxResults") or PAGE_LIMIT), PAGE_LIMIT)
    if size < 1:
        raise ValueError("Invalid value for maxResults")
    found = store.list(bucket, query.get("prefix", ""), versions=query.get("versions") == "true")
    entries = _folded(found, query.get("prefix", ""), query.get("delimiter", ""))
    after = _read_token(query["pageToken"]) if query.get("pageToken") else ""
    left = [(key, one) for key, one in entries if key > after and key >= query.get("startOffset", "")]
    page = left[:size]
    items = [one.described(base_url) for _, one in page if isinstance(one, StoredObject)]
    prefixes = [one for _, one in page if isinstance(one, str)]
    return {
        "kind": "storage#objects",
        **({"items": items} if items else {}),
        **({"prefixes": prefixes} if prefixes else {}),
        **({"nextPageToken": _token(page[-1][0])} if len(left) > size else {}),
    }


def _folded(found: list[StoredObject], prefix: str, delimiter: str) -> list[tuple[str, StoredObject | str]]:
    """Return objects and folded prefixes by the key that orders them, each prefix once."""
    entries: dict[str, StoredObject | str] = {}
    for one in found:
        head, cut, _ = one.name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        if cut:
            entries[prefix + head + delimiter] = prefix + head + delimiter
        else:
            entries[f"{one.name}\0{one.generation:020d}"] = one
    return sorted(entries.items(), key=lambda entry: entry[0].encode())


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _read_token(token: str) -> str:
    return base64.urlsafe_b64decode(token.encode()).decode()
