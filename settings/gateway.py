"""Settings of the process and its HTTP server: name, address, proxies, limits and timeouts."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

IpNetwork = IPv4Network | IPv6Network


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class GatewaySettings(BaseSettings):
    environment: Environment = Field(
        Environment.DEVELOPMENT, description="`development` or `production`.", examples=["production"]
    )
    deployment: str = Field(
        "main",
        max_length=12,
        pattern="^[a-z]+(-([a-z]+|[0-9]+))*$",
        description="Name of this installation. It becomes part of machine names and of the database; machines "
        "with another name are never touched. Required in production.",
        examples=["main"],
    )
    host: str = Field("127.0.0.1", description="Address to listen on.", examples=["0.0.0.0"])
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.", examples=["8080"])
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR.", examples=["DEBUG"]
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        ("http://localhost:3000", "http://localhost:5173"),
        description="Web origins that may call from a browser, separated by commas.",
        examples=["https://play.example.com"],
    )
    trusted_proxies: Annotated[tuple[IpNetwork, ...], NoDecode] = Field(
        (ip_network("127.0.0.1/32"), ip_network("::1/128")),
        description="Addresses or networks of your proxies, separated by commas. Their `X-Forwarded-For`, "
        "`-Proto` and `-Host` headers are trusted, so that rate limits apply to the real client.",
        examples=["10.0.0.0/8,fd00::/8"],
    )
    trusted_proxy_hops: int = Field(
        0,
        ge=0,
        le=10,
        description="Number of proxies in front of the service, if their addresses are not known; 0: trust the "
        "addresses in TRUSTED_PROXIES.",
        examples=["1"],
    )
    keep_alive_seconds: int = Field(
        75,
        ge=1,
        le=3600,
        description="How long an idle connection is kept open. Set it longer than your proxy keeps connections, "
        "or requests are lost on connections that are just being closed.",
        examples=["620"],
    )
    max_idle_connections: int = Field(
        500,
        ge=1,
        le=100_000,
        description="Idle connections that one process keeps open; the oldest is closed first.",
        examples=["500"],
    )
    max_body_bytes: int = Field(
        131_072, ge=1024, le=16_777_216, description="Largest request body.", examples=["131072"]
    )
    max_head_bytes: int = Field(
        16_384,
        ge=4096,
        le=65_536,
        description="Largest request head: request line and headers.",
        examples=["16384"],
    )
    max_headers: int = Field(100, ge=10, le=128, description="Largest number of request headers.", examples=["100"])
    rate_limit_per_minute: int = Field(
        600,
        ge=1,
        le=1_000_000,
        description="Requests that a caller may send per minute, counted over all processes.",
        examples=["600"],
    )
    max_sockets_per_caller: int = Field(
        20, ge=1, le=10_000, description="WebSockets that a caller may hold open at one process.", examples=["20"]
    )
    max_operations_per_socket: int = Field(
        120,
        ge=1,
        le=10_000,
        description="Operations that may run on one WebSocket at the same time: enough for 50 machines and, while a "
        "page is turned, the next 50.",
        examples=["120"],
    )
    max_messages_per_minute: int = Field(
        1800,
        ge=1,
        le=1_000_000,
        description="Messages that a client may send per minute on one WebSocket, and a sixth of that at once.",
        examples=["1800"],
    )
    max_subscription_minutes: float = Field(
        360.0, gt=0, le=10_080, description="How long a subscription may last.", examples=["360"]
    )
    public_launch_times: bool = Field(
        False,
        description="Show everyone how long launches took by month, cloud and site, and how many promises were kept, "
        "at `/launch-times` and `/launch-times.json`. Otherwise operators alone see it (`launchTimes`).",
        examples=["true"],
    )
    max_batch_size: int = Field(
        1, ge=1, le=100, description="Operations in one JSON array; 1 refuses arrays.", examples=["10"]
    )
    header_timeout_seconds: float = Field(
        10.0, gt=0, le=300, description="How long the head of a request may take to arrive.", examples=["10"]
    )
    body_timeout_seconds: float = Field(
        10.0, gt=0, le=300, description="How long the body of a request may take to arrive.", examples=["10"]
    )
    connection_init_timeout_seconds: float = Field(
        10.0, gt=0, le=300, description="How long a WebSocket may take to send `connection_init`.", examples=["10"]
    )
    slow_reader_seconds: float = Field(
        20.0,
        gt=0,
        le=300,
        description="Close a stream when its client has read nothing for this long.",
        examples=["20"],
    )
    credentials_recheck_seconds: float = Field(
        30.0,
        gt=0,
        le=60,
        description="How often the credentials of open streams are checked again.",
        examples=["30"],
    )

    @field_validator("cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value
