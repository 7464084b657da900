"""The header `traceparent` of W3C Trace Context: which trace a caller is in, and whether it is recorded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x21-\x7e]*)?", re.ASCII)
_LIMIT: Final = 256
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The caller's trace and span, in lower-case hexadecimal digits."""

    trace_id: str
    span_id: str
    sampled: bool


def parse_traceparent(value: object) -> TraceParent | None:
    """Return the caller's trace, or None for a value that receivers must ignore by the specification."""
    if not isinstance(value, str) or len(value) > _LIMIT:
        return None
    match = _FORM.fullmatch(value.strip())
    if match is None or match[1] == "ff" or (match[1] == "00" and match[5] is not None):
        return None
    if not match[2].strip("0") or not match[3].strip("0"):
        return None
    return TraceParent(match[2], match[3], bool(int(match[4], 16) & _SAMPLED))
