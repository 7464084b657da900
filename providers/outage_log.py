"""Logs one line when a cloud starts to fail, and one when it has recovered."""

from __future__ import annotations

import logging
from time import monotonic

log = logging.getLogger(__name__)

_FORGOTTEN_AFTER_S = 300.0


class Outage:
    """The outage of one cloud.

    It lasts until every kind of request that failed has succeeded again or has not been tried for five minutes.
    """

    def __init__(self, cloud: str) -> None:
        self._cloud = cloud
        self._failed_at: dict[str, float] = {}

    def record_failure(self, kind: str, reason: str) -> None:
        self._forget_old()
        if not self._failed_at:
            log.warning("provider failing", extra={"provider": self._cloud, "operation": kind, "reason": reason})
        self._failed_at[kind] = monotonic()

    def record_success(self, kind: str) -> None:
        if self._failed_at.pop(kind, None) is not None and not self._failed_at:
            log.info("provider recovered", extra={"provider": self._cloud, "operation": kind})

    def _forget_old(self) -> None:
        oldest = monotonic() - _FORGOTTEN_AFTER_S
        self._failed_at = {kind: at for kind, at in self._failed_at.items() if at > oldest}
