"""Makes foreign text safe to log, store or show: no credentials, no terminal codes, one line."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"
_TERMINAL_CODES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SECRETS: Final = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
    re.compile(r"(?i)(?<=\bbearer )\S+"),
    re.compile(r"\bya29\.[\w.-]+"),
    re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"),
    re.compile(r"[A-Za-z0-9+/]{40,}={0,2}"),  # keys and tokens; digests too, which is harmless
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
    re.compile(
        r"(?i)(?:(?<=password)|(?<=passwd)|(?<=passphrase)|(?<=secret)|(?<=token)|(?<=api_key)|(?<=apikey)"
        r"|(?<=base64)|(?<=private_key))[\"']?\s*[:=]\s*(?:\"[^\"]*\"|'[^']*'|[^\s,}]+)"
    ),
)


def redact(text: str) -> str:
    """Replace everything that looks like a credential by stars."""
    for secret in _SECRETS:
        text = secret.sub(HIDDEN, text)
    return text


def strip_terminal_codes(text: str) -> str:
    """Remove terminal codes."""
    return _TERMINAL_CODES.sub("", text)


def clean_line(text: str, limit: int = 200) -> str:
    """Return one printable line of at most `limit` characters without terminal codes and credentials."""
    line = _CONTROL.sub(" ", strip_terminal_codes(text)).replace("\n", " ").strip()
    return redact(line[: 20 * limit])[:limit]
