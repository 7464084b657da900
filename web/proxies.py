"""Reads the client's address, scheme and host from the X-Forwarded-* headers of trusted proxies.

A proxy appends the address that it was called from to X-Forwarded-For, so the list is trustworthy from the right. The
client itself may have written everything to the left of the first address that no trusted proxy added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

FORWARDED_HOST: Final = "forwarded_host"  # in the state of a request
_LOOPBACK: Final = (ip_network("127.0.0.1"), ip_network("::1"))
_SECURE: Final = ("https", "wss")


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Which peers may name the client.

    `hops` is the number of proxies in front of the service. If it is 0, proxies are recognised by `networks`.
    """

    networks: Sequence[Network] = _LOOPBACK
    hops: int = 0

    def trusts(self, peer: Address | None) -> bool:
        """Return whether the peer's headers count."""
        return self.hops > 0 or (peer is not None and any(peer in network for network in self.networks))

    def client(self, peer: Address | None, forwarded_for: Sequence[str]) -> Address | None:
        """Return the client's address; `peer` is where the connection comes from."""
        chain = [address_of(entry) for entry in forwarded_for]
        if self.hops:
            return (chain[-self.hops :] or [peer])[0] or peer
        client = peer
        while chain and self.trusts(client):
            before = chain.pop()
            if before is None:
                break
            client = before
        return client


class ProxyHeaders:
    """Outermost middleware. Sets the client, scheme and host to those that the trusted proxies saw."""

    def __init__(self, app: ASGIApp, proxies: TrustedProxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            host, port = scope.get("client") or ("", 0)
            peer = address_of(host)
            if self._proxies.trusts(peer):
                self._apply(scope, peer, port)
        await self._app(scope, receive, send)

    def _apply(self, scope: Scope, peer: Address | None, port: int) -> None:
        headers = Headers(scope=scope)
        client = self._proxies.client(peer, _listed(headers, "x-forwarded-for"))
        if client is not None and client != peer:
            scope["client"] = (str(client), 0)
        if schemes := _listed(headers, "x-forwarded-proto"):
            plain = "ws" if scope["type"] == "websocket" else "http"
            scope["scheme"] = f"{plain}s" if schemes[-1].lower() in _SECURE else plain
        if hosts := _listed(headers, "x-forwarded-host"):
            scope.setdefault("state", {})[FORWARDED_HOST] = hosts[-1]


def address_of(text: str) -> Address | None:
    """Return the address in an entry like `192.0.2.1`, `192.0.2.1:4711` or `[2001:db8::1]:4711`; None for any other."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    if "%" in host:  # a zone may be any text
        return None
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _listed(headers: Headers, name: str) -> list[str]:
    return [entry.strip() for line in headers.getlist(name) for entry in line.split(",") if entry.strip()]
