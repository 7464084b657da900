"""What is said of a database that cannot be used, by what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import dns.asyncresolver
import dns.resolver
import pytest

from embedded.ports import free_port
from errors import UnusableError
from models.database_probe import check_address, hosts_in
from tests.fault_proxy import Error, Fault, FaultProxy

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def fault(uri: str) -> str:
    with pytest.raises(UnusableError) as refused:
        await check_address(uri, "gamer", timeout_s=0.5)
    assert "canary" not in refused.value.fault
    assert refused.value.fault.startswith(f"MONGODB_ATLAS_URI: {hosts_in(uri)} ")
    assert refused.value.fault.endswith(
        "Example: MONGODB_ATLAS_URI=mongodb+srv://user:password@cluster.example.net/gamer"
    )
    return refused.value.fault


async def test_a_database_that_answers_is_fine(mongodb_uri: str) -> None:
    await check_address(mongodb_uri, "gamer")


async def test_a_port_without_a_server_refuses_the_connection() -> None:
    assert "refuses the connection" in await fault(f"mongodb://canary:canary@127.0.0.1:{free_port()}/gamer")


async def test_a_host_that_dns_does_not_know_is_named_without_its_password() -> None:
    said = await fault("mongodb://canary:canary@database.invalid:27017/gamer")

    assert said.startswith("MONGODB_ATLAS_URI: database.invalid:27017 cannot be found: DNS does not respond")


@pytest.mark.parametrize("answers", [True, False])
async def test_a_dns_that_fails_or_is_silent_is_named(monkeypatch: pytest.MonkeyPatch, answers: bool) -> None:
    async with asyncio.timeout(20):
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Dns(answers=answers), ("127.0.0.1", 0)
        )
        resolve_by(monkeypatch, transport.get_extra_info("sockname")[1])
        try:
            said = await fault("mongodb+srv://canary:canary@cluster.example.net/gamer")
        finally:
            transport.close()

    assert said.startswith("MONGODB_ATLAS_URI: cluster.example.net cannot be found: DNS does not respond, ")


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (18, "rejects the user or the password"),
        (8000, "rejects the user or the password"),
        (13, "does not allow this user to read the database"),
        (20, "refuses reads (code 20)"),
    ],
)
async def test_a_refusal_is_named_by_its_cause(faults: FaultProxy, code: int, cause: str) -> None:
    faults.add(Fault("find", error=Error(code, "Refused")))

    assert cause in await fault(faults.uri)


class Dns(asyncio.DatagramProtocol):
    """Says SERVFAIL to everything, or nothing."""

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._answers:
            self._transport.sendto(data[:2] + bytes([0x81, 0x82]) + data[4:], addr)


def resolve_by(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    for module, kind in ((dns.resolver, dns.resolver.Resolver), (dns.asyncresolver, dns.asyncresolver.Resolver)):
        resolver = kind(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], port
        monkeypatch.setattr(module, "default_resolver", resolver)
