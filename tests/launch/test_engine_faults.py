"""What is said of a Temporal that cannot be used."""

from __future__ import annotations

import pytest
from temporalio.service import RPCError, RPCStatusCode

from embedded.ports import free_port
from errors import UnusableError
from launch.engine_faults import fault_of
from launch.temporal_client import TemporalWorkflowClient, connect, require_temporal
from launch.workflow_client import EngineAddress

CLOUD = "gamer.a1b2c.tmprl.cloud:7233"


async def test_a_namespace_that_does_not_exist_is_named(temporal_address: str) -> None:
    with pytest.raises(UnusableError) as refused:
        await TemporalWorkflowClient.connect(EngineAddress(temporal_address, "gamer-prod", "queue"))

    assert refused.value.fault == (
        f"TEMPORAL_NAMESPACE: Temporal at {temporal_address} has no namespace gamer-prod. "
        "Example: TEMPORAL_NAMESPACE=default"
    )


async def test_an_address_where_nothing_listens_is_named() -> None:
    address = EngineAddress(f"127.0.0.1:{free_port()}", "default", "queue")

    with pytest.raises(UnusableError) as refused:
        await connect(address)

    assert refused.value.fault == (
        f"TEMPORAL_ADDRESS: {address.host} does not respond. Example: TEMPORAL_ADDRESS={CLOUD}"
    )


@pytest.mark.parametrize(
    ("error", "api_key", "line"),
    [
        (
            RuntimeError("Failed client connect: `get_system_info` call error: Status { code: Unauthenticated }"),
            "canary",
            "TEMPORAL_API_KEY: Temporal at gamer.a1b2c.tmprl.cloud:7233 rejects these credentials for the namespace ",
        ),
        (
            RPCError("Request unauthorized.", RPCStatusCode.PERMISSION_DENIED, b""),
            None,
            "TEMPORAL_TLS_CERT_PATH: Temporal at gamer.a1b2c.tmprl.cloud:7233 rejects these credentials ",
        ),
        (
            RuntimeError("Server connection error: tonic::transport::Error: dns error: failed to lookup address"),
            None,
            "TEMPORAL_ADDRESS: gamer.a1b2c.tmprl.cloud:7233 is a name that DNS does not know. Example: ",
        ),
        (
            RuntimeError("Server connection error: invalid peer certificate: UnknownIssuer"),
            None,
            "TEMPORAL_ADDRESS: gamer.a1b2c.tmprl.cloud:7233 fails TLS; ",
        ),
        (
            RPCError("Namespace x is not found.", RPCStatusCode.NOT_FOUND, b""),
            None,
            "TEMPORAL_NAMESPACE: Temporal at gamer.a1b2c.tmprl.cloud:7233 has no namespace gamer.a1b2c. Example: ",
        ),
        (TimeoutError(), "canary", "TEMPORAL_ADDRESS: gamer.a1b2c.tmprl.cloud:7233 does not respond. Example: "),
    ],
)
def test_each_failure_names_its_variable_and_no_credential(error: Exception, api_key: str | None, line: str) -> None:
    said = fault_of(error, EngineAddress(CLOUD, "gamer.a1b2c", "queue", api_key=api_key))

    assert said.startswith(line)
    assert "canary" not in said
    assert "\n" not in said


async def test_temporal_that_is_lost_between_two_calls_is_unavailable() -> None:
    address = EngineAddress(CLOUD, "default", "queue")

    with pytest.raises(UnusableError) as refused:
        async with require_temporal(address):
            raise RPCError("transport error", RPCStatusCode.UNAVAILABLE, b"")

    assert refused.value.fault.startswith("TEMPORAL_ADDRESS: ")
    assert refused.value.message == "Temporal does not respond"
