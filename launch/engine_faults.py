"""Explains why Temporal cannot be used, in one line with the variable, the cause and an example."""

from __future__ import annotations

from typing import Final

from temporalio.service import RPCError, RPCStatusCode

from launch.workflow_client import EngineAddress

_UNKNOWN_HOST: Final = ("dns error", "failed to lookup address", "name or service not known")
_TLS: Final = ("certificate", "tls", "ssl", "handshake", "invalidcert", "corrupt message", "frame with invalid size")
_REFUSED_KEY: Final = ("unauthenticated", "permissiondenied", "permission denied", "unauthorized", "jwt")
_CERTIFICATE: Final = ("TEMPORAL_TLS_CERT_PATH", "/secrets/temporal.pem")


def fault_of(error: BaseException, address: EngineAddress) -> str:
    """Return the line. Foreign text is searched for words but never quoted: it may contain a credential."""
    said = _everything(error)
    if _is_unknown_namespace(error, said):
        return (
            f"TEMPORAL_NAMESPACE: Temporal at {address.host} has no namespace {address.namespace[:64]}. "
            "Example: TEMPORAL_NAMESPACE=default"
        )
    if any(word in said for word in _REFUSED_KEY):
        variable, example = ("TEMPORAL_API_KEY", "eyJhbGciOi...") if address.api_key else _CERTIFICATE
        return (
            f"{variable}: Temporal at {address.host} rejects these credentials for the namespace "
            f"{address.namespace[:64]}. Example: {variable}={example}"
        )
    cause = "does not respond"
    if any(word in said for word in _UNKNOWN_HOST):
        cause = "is a name that DNS does not know"
    elif any(word in said for word in _TLS):
        cause = "fails TLS; a server without TLS takes neither TEMPORAL_API_KEY nor TEMPORAL_TLS_CERT_PATH"
    return f"TEMPORAL_ADDRESS: {address.host} {cause}. Example: TEMPORAL_ADDRESS=gamer.a1b2c.tmprl.cloud:7233"


def _is_unknown_namespace(error: BaseException, said: str) -> bool:
    found = isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND
    return (found or "notfound" in said.replace("_", "")) and "namespace" in said


def _everything(error: BaseException) -> str:
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(f"{getattr(cause, 'status', '')} {cause}")
        cause = cause.__cause__
    return " ".join(texts).lower()
