"""A failing cloud is worth one line in the log, and its recovery another."""

from __future__ import annotations

import logging
from time import monotonic

log = logging.getLogger(__name__)

_FORGOTTEN_AFTER_S = 300.0


class Outage:
    """Per cloud. It lasts until every kind of request that failed has gone well again, or was not tried for minutes."""

    def __init__(self, cloud: str) -> None:
        self._cloud = cloud
        self._failed_at: dict[str, float] = {}

    def failed(self, kind: str, reason: str) -> None:
        self._forget_old()
        if not self._failed_at:
            log.warning("a cloud is failing", extra={"provider": self._cloud, "operation": kind, "reason": reason})
        self._failed_at[kind] = monotonic()

    def went_well(self, kind: str) -> None:
        if self._failed_at.pop(kind, None) is not None and not self._failed_at:
            log.info("a cloud has recovered", extra={"provider": self._cloud, "operation": kind})

    def _forget_old(self) -> None:
        oldest = monotonic() - _FORGOTTEN_AFTER_S
        self._failed_at = {kind: at for kind, at in self._failed_at.items() if at > oldest}
