"""The errors that this service raises on purpose, each named after what to do next.

GatewayError
├── ProviderError             a cloud, a machine or the bucket failed
│   ├── NoCapacityError       this site is full: try the next placement
│   │   ├── RegionQuotaError      our quota in this region is used up: try the next region
│   │   └── AccountQuotaError     a quota of our account is used up: try the next cloud, alert an operator
│   │       └── AccountBalanceError   its prepaid money is
│   ├── MachineLostError      this machine is gone or broken: release it, try the next placement
│   ├── ProviderBusyError     429, 5xx, no response: check what happened, retry later
│   └── ProviderRefusedError  credentials, quota, bad order: stop, alert an operator
│       └── ImageMissingError     the image's registry does not have it: resolve its tag again
├── RefusedError              refused, and the caller can act on it: an entry of a payload's `errors`
│   ├── InvalidInputError     a value is not allowed; `path` names the field
│   │   └── IdempotencyKeyReusedError  the key was used with other arguments
│   ├── NotFoundError         unknown, or another user's
│   ├── InvalidStateError     not possible in this status
│   ├── NoPlacementError      no placement: full, too expensive, or nothing fits
│   ├── SpendingLimitError    a hard spending limit is reached
│   └── ProviderDownError     the chosen cloud cannot be used now
├── UnauthenticatedError      no valid credentials
├── ForbiddenError            the caller's role may not do this
├── LimitReachedError         too many or too often: `limit` names the limit, `retry_after_s` when to retry
├── UnavailableError          our database or Temporal is unavailable: retry soon
│   └── UnusableError         until an operator changes something: `fault` says what
├── UnreadableRecordError     another version wrote this record: leave it as it is
├── MigrationError            stored data does not fit this version: change it, restart
└── ConflictError             the document changed in between: read it again
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Self

MESSAGE_LIMIT = 256


class GatewayError(Exception):
    """Base of all errors raised on purpose. Its text is safe to log and contains no credentials."""

    def __init__(self, message: str) -> None:
        super().__init__(message[:MESSAGE_LIMIT])
        self.message = message[:MESSAGE_LIMIT]


class ProviderError(GatewayError):
    """A cloud, a machine or the bucket failed.

    `log_detail` is for the log only: addresses, bucket names, foreign text. `str()` includes it, `message` does not.
    """

    log_detail = ""

    def __str__(self) -> str:
        return f"{self.message} ({self.log_detail})" if self.log_detail else self.message

    def with_log_detail(self, detail: str) -> Self:
        """Set `log_detail` and return the error."""
        self.log_detail = detail[:MESSAGE_LIMIT]
        return self


class NoCapacityError(ProviderError):
    """This site is full; the next placement may have capacity."""


class RegionQuotaError(NoCapacityError):
    """Our quota in this region is used up; other regions have separate quotas."""


class AccountQuotaError(NoCapacityError):
    """A quota of our whole account is used up, so that no site of this cloud can be used. `quota` is its name."""

    def __init__(self, message: str, quota: str) -> None:
        super().__init__(message)
        self.quota = quota


class AccountBalanceError(AccountQuotaError):
    """The prepaid money of our whole account is used up: the next cloud may do.

    `covers_usd_per_hour` is up to which hourly price it still covers machines; None if it covers none.
    """

    def __init__(self, message: str, covers_usd_per_hour: Decimal | None = None) -> None:
        super().__init__(message, "BALANCE")
        self.covers_usd_per_hour = covers_usd_per_hour


class MachineLostError(ProviderError):
    """This machine is gone or broken; release it and try the next placement."""


class ProviderBusyError(ProviderError):
    """No usable response. The request may have been carried out: check first, then retry later.

    `retry_after_s` is when a retry makes sense, if known.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ProviderSilentError(ProviderBusyError):
    """A read got no answer in time, and no earlier answer is known."""


class ProviderRefusedError(ProviderError):
    """The cloud refused, and will refuse until an operator changes something."""


class ImageMissingError(ProviderRefusedError):
    """A container image is missing from its registry, or requires a log-in. Its tag may stand for another one now."""


class RefusedError(GatewayError):
    """The request is refused, and the caller can act on it. `path` names the input field at fault, outermost first."""

    code = "REFUSED"

    def __init__(self, message: str, path: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.path = tuple(path)


class InvalidInputError(RefusedError):
    """A value is not allowed; the message says what is."""

    code = "BAD_USER_INPUT"  # the same code in a payload's `errors` and in a response's


class IdempotencyKeyReusedError(InvalidInputError):
    """The key of a request was used before with other arguments."""

    code = "IDEMPOTENCY_KEY_REUSED"


class NotFoundError(RefusedError):
    """The object does not exist or belongs to another user; the response does not reveal which."""

    code = "NOT_FOUND"


class InvalidStateError(RefusedError):
    """Not possible while the subject is in `status`."""

    code = "INVALID_STATE"

    def __init__(self, message: str, status: str, path: Sequence[str] = ()) -> None:
        super().__init__(message, path)
        self.status = status


class NoPlacementError(RefusedError):
    """No site can take the machine. A launch's attempts say where it was tried."""

    code = "NO_CAPACITY"


class SpendingLimitError(RefusedError):
    """A hard spending limit is reached (amounts in USD)."""

    code = "SPENDING_LIMIT_REACHED"

    def __init__(self, message: str, limit: Decimal, spent: Decimal) -> None:
        super().__init__(message)
        self.limit = limit
        self.spent = spent


class ProviderDownError(RefusedError):
    """The chosen cloud cannot be used now; `provider` is its contract name."""

    code = "PROVIDER_UNAVAILABLE"

    def __init__(self, message: str, provider: str, path: Sequence[str] = ()) -> None:
        super().__init__(message, path)
        self.provider = provider


class StockUnknownError(ProviderDownError):
    """A cloud does not answer in time: whether it has a machine is unknown."""


class UnauthenticatedError(GatewayError):
    """The credentials are missing, malformed, expired or revoked. The message reveals nothing beyond that."""


class ForbiddenError(GatewayError):
    """The caller's role may not do this."""


class LimitReachedError(GatewayError):
    """The caller has too many things in progress, or asks too often.

    `retry_after_s` is when a retry makes sense; None if that depends on others ending.
    """

    code = "LIMIT_REACHED"

    def __init__(self, limit: str, allowed: int, retry_after_s: float | None = None) -> None:
        super().__init__(f"the limit {limit} of {allowed} is reached")
        self.limit = limit
        self.allowed = allowed
        self.retry_after_s = retry_after_s


class UnavailableError(GatewayError):
    """Our database or Temporal is unavailable. Nothing was done unless the message says otherwise; retry soon."""


class UnreadableRecordError(GatewayError):
    """This version cannot read the record, which another version wrote. It is left as it is.

    `user_id` is the record's user, if it can be read.
    """

    code = "UNREADABLE_RECORD"

    def __init__(self, message: str, user_id: str | None = None) -> None:
        super().__init__(message)
        self.user_id = user_id


class DatabaseFaultError(Exception):
    """The database refused a command for a reason that neither a retry nor an operator can resolve.

    It is a bug of ours, or an error unknown to this version. As it is no GatewayError, callers see it masked.
    """


class MigrationError(GatewayError):
    """Stored data does not fit this version; an operator must change it and restart."""


class UnusableError(UnavailableError):
    """Our database or Temporal cannot be used until an operator changes something.

    `fault` is the line for operators, with the variable, the cause and an example. Callers see only the message, which
    contains no address.
    """

    def __init__(self, message: str, fault: str) -> None:
        super().__init__(message)
        self.fault = fault


class ConflictError(GatewayError):
    """The document changed in between: read it again."""
