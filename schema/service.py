"""The service, its caller and its clouds."""

from __future__ import annotations

from datetime import datetime

import strawberry

from resolvers import service
from schema.enums import ProviderName, Role
from schema.node import Info


@strawberry.type(description="The caller, as its credentials identify it.")
class Viewer:
    id: str = strawberry.field(description="The caller's id: a user id, or `key-` and the id of an API key.")
    role: Role = strawberry.field(description="The caller's role.")


@strawberry.type(description="This service.")
class Service:
    name: str = strawberry.field(description="The service's name.")
    version: str = strawberry.field(description="The version that answers.")


@strawberry.type(description="A cloud and whether it can be used now.")
class ProviderInfo:
    name: ProviderName = strawberry.field(description="The cloud.")
    configured: bool = strawberry.field(description="Whether this deployment has credentials for the cloud.")
    healthy: bool = strawberry.field(description="Whether the cloud can be used now.")
    simulated: bool = strawberry.field(description="Whether this is a simulation of the cloud, for development.")
    detail: str | None = strawberry.field(
        description="Why the cloud cannot be used, or another remark for people. Null if there is nothing to add."
    )

    @classmethod
    def of(cls, state: service.ProviderState) -> ProviderInfo:
        health = state.health
        return cls(
            name=state.name,
            configured=health.configured,
            healthy=health.healthy,
            simulated=health.simulated,
            detail=health.detail,
        )


@strawberry.type(name="Sweep", description="When the sweeper last compared a cloud with our records.")
class LastSweep:
    provider: ProviderName = strawberry.field(description="The cloud.")
    at: datetime = strawberry.field(description="When the cloud was last read.")


@strawberry.type
class PlatformQuery:
    @strawberry.field(
        description="List when the sweeper last read each cloud; a cloud that it has not read yet is missing. "
        "Operators only."
    )
    async def sweeps(self, info: Info) -> list[LastSweep]:
        return [LastSweep(provider=sweep.id, at=sweep.at) for sweep in await service.sweeps(info.context)]

    @strawberry.field(description="Return the caller.")
    def viewer(self, info: Info) -> Viewer:
        caller = service.viewer(info.context)
        return Viewer(id=caller.id, role=caller.role)

    @strawberry.field(description="Return the service's name and version.")
    def service(self, info: Info) -> Service:
        return Service(name=service.SERVICE_NAME, version=service.version(info.context))

    @strawberry.field(description="List the clouds that machines are rented from.")
    async def providers(self, info: Info) -> list[ProviderInfo]:
        return [ProviderInfo.of(state) for state in await service.providers(info.context)]
