"""Compares origins as browsers do: by scheme, host and port, ignoring case and default ports."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from web.proxies import FORWARDED_HOST

# Pages of this machine, whatever their port.
LOOPBACK_ORIGIN: Final = r"https?://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HTTP_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def normal_origin(text: str) -> str:
    """Return an origin as browsers write it. Text that is not an HTTP origin is returned in lower case."""
    written = text.strip().lower().removesuffix("/")
    try:
        parts = urlsplit(written)
        port = parts.port
    except ValueError:
        return written
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or written != f"{parts.scheme}://{parts.netloc}":
        return written
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}")


def is_loopback_origin(origin: str) -> bool:
    """Return whether an origin is a page of this machine."""
    return re.fullmatch(LOOPBACK_ORIGIN, normal_origin(origin)) is not None


def is_same_origin(origin: str, scope: Scope) -> bool:
    """Return whether an origin is our own host, as the browser or a trusted proxy names it."""
    scheme = _HTTP_SCHEMES[scope["scheme"]]
    hosts = (Headers(scope=scope).get("host"), scope.get("state", {}).get(FORWARDED_HOST))
    return normal_origin(origin) in {normal_origin(f"{scheme}://{host}") for host in hosts if host}
