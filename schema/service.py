"""The service itself, its caller, and its clouds."""

from __future__ import annotations

import strawberry

from resolvers import service
from schema.enums import ProviderName, Role
from schema.node import Info


@strawberry.type(description="Who is asking, by its credentials.")
class Viewer:
    id: str
    role: Role


@strawberry.type
class Service:
    name: str
    version: str


@strawberry.type(description="A cloud: is it set up here, can it be used now, is it simulated?")
class ProviderInfo:
    name: ProviderName
    configured: bool
    healthy: bool
    simulated: bool
    detail: str | None

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


@strawberry.type
class PlatformQuery:
    @strawberry.field(description="The caller.")
    def viewer(self, info: Info) -> Viewer:
        caller = service.viewer(info.context)
        return Viewer(id=caller.id, role=caller.role)

    @strawberry.field(description="This service.")
    def service(self, info: Info) -> Service:
        return Service(name=service.SERVICE_NAME, version=service.version(info.context))

    @strawberry.field(description="The clouds that machines are rented from.")
    async def providers(self, info: Info) -> list[ProviderInfo]:
        return [ProviderInfo.of(state) for state in await service.providers(info.context)]
