"""Maps MongoDB's error codes to what an error means for the caller.

Codes and names are those of the server's own list (`error_codes.yml`). Transient codes are those that MongoDB's
specifications of retryable writes and reads list, those in the server's categories RetriableError, NotPrimaryError,
ShutdownError, NetworkError, ExceededTimeLimitError, SnapshotError and SystemOverloadedError, and conflicts between
operations. An unlisted code counts as a fault of ours until it is classified.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
)


class ErrorKind(StrEnum):
    """What resolves an error."""

    TRANSIENT = "TRANSIENT"  # resolves itself: the same call may succeed a moment later
    OPERATOR = "OPERATOR"  # needs an operator: a password, a role, a quota, a disk
    DUPLICATE = "DUPLICATE"  # a unique key is taken
    FAULT = "FAULT"  # the command is wrong or the code unknown: only another version of this service helps


_TRANSIENT: Final = {
    # Retryable writes and reads in the drivers' specifications.
    6: "HostUnreachable",
    7: "HostNotFound",
    89: "NetworkTimeout",
    91: "ShutdownInProgress",
    134: "ReadConcernMajorityNotAvailableYet",
    189: "PrimarySteppedDown",
    262: "ExceededTimeLimit",
    9001: "SocketException",
    10058: "LegacyNotPrimary",
    10107: "NotWritablePrimary",
    11600: "InterruptedAtShutdown",
    11602: "InterruptedDueToReplStateChange",
    13435: "NotPrimaryNoSecondaryOk",
    13436: "NotPrimaryOrSecondary",
    # The server's own categories of transient errors.
    50: "MaxTimeMSExpired",
    202: "NetworkInterfaceExceededTimeLimit",
    239: "SnapshotTooOld",
    246: "SnapshotUnavailable",
    250: "StaleChunkHistory",
    272: "MigrationConflict",
    290: "TransactionExceededLifetimeLimitSeconds",
    317: "ConnectionPoolExpired",
    358: "InternalTransactionNotSupported",
    384: "ConnectionError",
    402: "ResourceExhausted",
    406: "MigrationBlockingOperationCoordinatorCleaningUp",
    407: "PooledConnectionAcquisitionExceededTimeLimit",
    412: "UpdatesStillPending",
    433: "AdmissionQueueOverflow",
    449: "RateLimitExceeded",
    450: "PooledConnectionAcquisitionRejected",
    453: "InterruptedDueToReshardingCriticalSection",
    462: "IngressRequestRateLimitExceeded",
    50915: "BackupCursorOpenConflictWithCheckpoint",
    91331: "RetriableRemoteCommandFailure",
    10045600: "InterruptedDueToFCVChange",
    # Elections, routing, and conflicting operations.
    24: "LockTimeout",
    46: "LockBusy",
    64: "WriteConcernTimeout",
    79: "UnknownReplWriteConcern",
    94: "NotYetInitialized",
    100: "UnsatisfiableWriteConcern",
    112: "WriteConflict",
    117: "ConflictingOperationInProgress",
    133: "FailedToSatisfyReadPreference",
    145: "PooledConnectionsDropped",
    149: "NoConfigPrimary",
    150: "StaleEpoch",
    199: "ReplicaSetMonitorRemoved",
    203: "ShardingStateNotInitialized",
    215: "DatabaseDropPending",
    216: "ElectionInProgress",
    249: "StaleDbVersion",
    251: "NoSuchTransaction",
    261: "TooManyLogicalSessions",
    264: "TooManyFilesOpen",
    267: "PreparedTransactionInProgress",
    279: "ClientDisconnect",
    355: "InterruptedDueToStorageChange",
    365: "TemporarilyUnavailable",
    11601: "Interrupted",
    12586: "BackgroundOperationInProgressForDatabase",
    12587: "BackgroundOperationInProgressForNamespace",
    13388: "StaleConfig",
    46841: "ClientMarkedKilled",
    56846: "ConfigServerUnreachable",
    # A cursor that ended early: the query is repeated.
    43: "CursorNotFound",
    136: "CappedPositionLost",
    175: "QueryPlanKilled",
    237: "CursorKilled",
}
_OPERATOR: Final = {
    1: "InternalError",  # reported by the embedded database if a write to its disk fails
    8: "UnknownError",
    11: "UserNotFound",
    13: "Unauthorized",
    18: "AuthenticationFailed",
    31: "RoleNotFound",
    33: "PrivilegeNotFound",
    146: "ExceededMemoryLimit",
    214: "AuthenticationRestrictionUnmet",
    301: "DataCorruptionDetected",
    334: "MechanismUnavailable",
    337: "AuthenticationAbandoned",
    371: "UserWritesBlocked",
    391: "ReauthenticationRequired",
    392: "InvalidJWT",
    404: "LDAPRoleAcquisitionError",
    8000: "AtlasError",  # a full or paused cluster, a rotated or missing user
    14031: "OutOfDiskSpace",
}
_DUPLICATE: Final = {11000: "DuplicateKey", 11001: "DuplicateKey", 12582: "DuplicateKey"}
_LABELS_OF_WHAT_PASSES: Final = (
    "RetryableWriteError",
    "TransientTransactionError",
    "UnknownTransactionCommitResult",
    "RetryableError",
    "SystemOverloadedError",
    "ResumableChangeStreamError",
)
TABLE: Final[Mapping[int, tuple[str, ErrorKind]]] = {
    code: (name, kind)
    for kind, codes in (
        (ErrorKind.TRANSIENT, _TRANSIENT),
        (ErrorKind.OPERATOR, _OPERATOR),
        (ErrorKind.DUPLICATE, _DUPLICATE),
    )
    for code, name in codes.items()
}


def kind_of(error: PyMongoError) -> ErrorKind:
    """Return what resolves this error. Of several in one response, the one that is hardest to resolve counts."""
    if isinstance(error, BulkWriteError):
        return _kind_of_many(error)
    if isinstance(error, DuplicateKeyError):
        return ErrorKind.DUPLICATE
    if (known := TABLE.get(_code(error))) is not None:
        return known[1]
    if isinstance(error, (ConnectionFailure, ExecutionTimeout)) or error.timeout:
        return ErrorKind.TRANSIENT
    if any(error.has_error_label(label) for label in _LABELS_OF_WHAT_PASSES):
        return ErrorKind.TRANSIENT
    return ErrorKind.FAULT


def name_of(error: PyMongoError) -> str:
    """Return the error's name from the table, or its class: never foreign text."""
    known = TABLE.get(_code(error))
    return type(error).__name__ if known is None else known[0]


def _code(error: PyMongoError) -> int:
    return (error.code if isinstance(error, OperationFailure) else None) or 0


def _kind_of_many(error: BulkWriteError) -> ErrorKind:
    kinds = {TABLE.get(code, ("", ErrorKind.FAULT))[1] for code in _codes(error.details)}
    hardest_first = (ErrorKind.FAULT, ErrorKind.OPERATOR, ErrorKind.TRANSIENT, ErrorKind.DUPLICATE)
    return next((kind for kind in hardest_first if kind in kinds), ErrorKind.FAULT)


def _codes(details: Mapping[str, Any]) -> Iterator[int]:
    for part in ("writeErrors", "writeConcernErrors"):
        for each in details.get(part) or ():
            yield each.get("code", 0)
