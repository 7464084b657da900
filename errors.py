"""Every error this service raises on purpose, named after what the caller does next.

GatewayError
├── ProviderError             something outside let us down
│   ├── NoCapacityError       this site is full: take the next placement
│   │   ├── RegionQuotaError      our quota in this region is used up: take the next region
│   │   └── AccountQuotaError     a quota of our whole account is used up: take the next cloud, tell an operator
│   │       └── AccountBalanceError   its prepaid money is
│   ├── MachineLostError      this machine is gone or broken: release it, take the next placement
│   ├── ProviderBusyError     429, 5xx, silence: look what happened, then ask again later
│   └── ProviderRefusedError  credentials, quota, bad order: stop, tell an operator
├── RefusedError              we said no and the caller can act on it: an entry of a payload's `errors`
│   ├── InvalidInputError     a value is outside what is allowed; `path` names the field
│   │   └── IdempotencyKeyReusedError  the key was used with other arguments
│   ├── NotFoundError         no such thing, or not the caller's
│   ├── InvalidStateError     not while it is in this status
│   ├── NoPlacementError      nowhere to put it: full, too dear, or nothing fits
│   ├── SpendingLimitError    a hard spending limit is reached
│   └── ProviderDownError     the chosen cloud cannot be used now
├── UnauthenticatedError      no valid credentials
├── ForbiddenError            the caller's role may not do this
├── LimitReachedError         too many at once or too often: `limit` names which, `retry_after_s` says when again
├── UnavailableError          our own database or engine is away: ask again soon
│   └── UnusableError         until an operator changes something: `fault` says what
├── UnreadableRecordError     another version wrote this record: leave it alone
├── MigrationError            stored data does not allow what this version needs: change it, start again
└── ConflictError             somebody moved the document first: read it again
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Self

MESSAGE_LIMIT = 256


class GatewayError(Exception):
    """Base of all errors raised on purpose. Its text is safe to log and carries no credential."""

    def __init__(self, message: str) -> None:
        super().__init__(message[:MESSAGE_LIMIT])
        self.message = message[:MESSAGE_LIMIT]


class ProviderError(GatewayError):
    """Something outside (a cloud, a machine, the bucket) let us down.

    `log_detail` is for the log alone: addresses, names of buckets, foreign text. `str()` has it, the message has not.
    """

    log_detail = ""

    def __str__(self) -> str:
        return f"{self.message} ({self.log_detail})" if self.log_detail else self.message

    def with_log_detail(self, detail: str) -> Self:
        self.log_detail = detail[:MESSAGE_LIMIT]
        return self


class NoCapacityError(ProviderError):
    """This site is full; the next placement may do."""


class RegionQuotaError(NoCapacityError):
    """Our quota in this region is used up; another region has one of its own."""


class AccountQuotaError(NoCapacityError):
    """A quota of our whole account is used up: no other place of this cloud will do. `quota` is its name."""

    def __init__(self, message: str, quota: str) -> None:
        super().__init__(message)
        self.quota = quota


class AccountBalanceError(AccountQuotaError):
    """The prepaid money of our whole account is used up: the next cloud may do."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "BALANCE")


class MachineLostError(ProviderError):
    """This machine is gone or broken; release it and take the next placement."""


class ProviderBusyError(ProviderError):
    """No usable answer. The request may or may not have been carried out: look first, then ask again later.

    `retry_after_s`: when asking again makes sense, where that is known.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ProviderSilentError(ProviderBusyError):
    """A read got no answer in time, and no earlier answer is known."""


class ProviderRefusedError(ProviderError):
    """The answer is no and will stay no until an operator changes something."""


class RefusedError(GatewayError):
    """We said no, and the caller can act on it. `path` names the input field at fault, outermost first."""

    code = "REFUSED"

    def __init__(self, message: str, path: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.path = tuple(path)


class InvalidInputError(RefusedError):
    """A value is outside what is allowed; the message says what is."""

    code = "BAD_USER_INPUT"  # one word for it, in `errors` of a payload as in those of an answer


class IdempotencyKeyReusedError(InvalidInputError):
    """The key of a request was used before with other arguments."""

    code = "IDEMPOTENCY_KEY_REUSED"


class NotFoundError(RefusedError):
    """There is no such thing, or it belongs to somebody else: the two answer alike."""

    code = "NOT_FOUND"


class InvalidStateError(RefusedError):
    """Not possible while the subject is in `status`."""

    code = "INVALID_STATE"

    def __init__(self, message: str, status: str, path: Sequence[str] = ()) -> None:
        super().__init__(message, path)
        self.status = status


class NoPlacementError(RefusedError):
    """Nowhere to put the machine. A launch's recorded attempts say where it was tried."""

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
    """The credentials are missing, malformed, expired or revoked. The message says no more than the caller knows."""


class ForbiddenError(GatewayError):
    """The caller's role may not do this."""


class LimitReachedError(GatewayError):
    """The caller asks for too many things at once, or too often. `retry_after_s` of None: when others have ended."""

    code = "LIMIT_REACHED"

    def __init__(self, limit: str, allowed: int, retry_after_s: float | None = None) -> None:
        super().__init__(f"the limit {limit} of {allowed} is reached")
        self.limit = limit
        self.allowed = allowed
        self.retry_after_s = retry_after_s


class UnavailableError(GatewayError):
    """Our own database or engine is away. Nothing was done, unless the message says otherwise; asking again soon is
    right."""


class UnreadableRecordError(GatewayError):
    """This version cannot read the record, which another one wrote. It is left as it is. `user_id`: whose it is, as far
    as that can be read."""

    code = "UNREADABLE_RECORD"

    def __init__(self, message: str, user_id: str | None = None) -> None:
        super().__init__(message)
        self.user_id = user_id


class DatabaseFaultError(Exception):
    """The database refused a command for a reason that no waiting and no operator ends: a fault of ours, or an error
    that this version does not know. No GatewayError: callers get it masked, as any other fault."""


class MigrationError(GatewayError):
    """Stored data does not allow what this version needs; an operator changes it and starts again."""


class UnusableError(UnavailableError):
    """Our database or engine cannot be used until an operator changes something. `fault` is the line for operators,
    with the variable, the cause and an example; callers are told the message alone, which names no address."""

    def __init__(self, message: str, fault: str) -> None:
        super().__init__(message)
        self.fault = fault


class ConflictError(GatewayError):
    """Somebody moved the document first: read it again."""
