"""Recognizes quota failures in CloudyPad's output.

Three kinds look alike: a limit of requests per minute, a quota of one region, and a quota of the whole project.
"""

from __future__ import annotations

import re
from typing import Final

from errors import AccountQuotaError, ProviderBusyError, ProviderError, RegionQuotaError

_RATE: Final = re.compile(
    r"rateLimitExceeded|userRateLimitExceeded|RATE_LIMIT_EXCEEDED|Quota exceeded for quota metric|googleapi: Error 429"
)
_QUOTA: Final = re.compile(
    r"Quota '(?P<name>[A-Z][A-Z0-9_]{0,63})' exceeded"
    r"(?:\.?\s+Limit: [\d.,]+(?: (?P<globally>globally)| in region (?P<region>[a-z0-9-]{1,40}))?)?"
)
_UNNAMED: Final = re.compile(r"QUOTA_EXCEEDED|quotaExceeded|[Qq]uota .*exceeded")
# Quotas that Google counts across the whole project.
_GLOBAL: Final = frozenset(
    {
        *("NETWORKS", "SUBNETWORKS", "FIREWALLS", "ROUTES", "ROUTERS", "IMAGES", "SNAPSHOTS"),
        *("STATIC_ADDRESSES", "IN_USE_ADDRESSES", "GLOBAL_INTERNAL_ADDRESSES"),
    }
)
_RATE_PASSES_S: Final = 60.0


def quota_error(printed: str, message: str) -> ProviderError | None:
    """Return the error that the output means, or None if no quota is involved."""
    if _RATE.search(printed):
        return ProviderBusyError(message, retry_after_s=_RATE_PASSES_S)
    if (found := _QUOTA.search(printed)) is not None:
        name = found["name"]
        over_all = found["globally"] is not None or name.endswith("_ALL_REGIONS") or name in _GLOBAL
        if over_all and found["region"] is None:
            return AccountQuotaError(message, name)
        return RegionQuotaError(message)
    return RegionQuotaError(message) if _UNNAMED.search(printed) else None
