"""API keys and the audit trail."""

from __future__ import annotations

from datetime import datetime

import strawberry

import models.api_keys
import models.audit
from resolvers import keys
from resolvers.pagination import Page
from schema.connections import PageInfo
from schema.enums import Role
from schema.ids import global_id, key_of, parts
from schema.mutation_errors import ErrorsAsData, MutationError
from schema.node import Info, Node


@strawberry.type(description="A key for another service. Its secret is shown once, when it is made.")
class ApiKey(Node):
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = strawberry.field(description="To the minute.")
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: models.api_keys.ApiKey) -> ApiKey:
        return cls(
            id=global_id("ApiKey", key.id),
            name=key.name,
            role=key.role,
            created_at=key.created_at,
            expires_at=key.expires_at,
            last_used_at=key.last_used_at,
            revoked_at=key.revoked_at,
        )


@strawberry.type(description="Who did what, and what came of it.")
class AuditEntry(Node):
    at: datetime
    actor_id: str
    actor_role: Role
    action: str
    subject_id: strawberry.ID | None
    outcome: str
    detail: str | None

    @classmethod
    def of(cls, entry: models.audit.AuditEntry) -> AuditEntry:
        return cls(
            id=global_id("AuditEntry", entry.id),
            at=entry.at,
            actor_id=entry.actor_id,
            actor_role=entry.actor_role,
            action=entry.action,
            subject_id=None if entry.subject_id is None else strawberry.ID(entry.subject_id),
            outcome=entry.outcome.value,
            detail=entry.detail,
        )


@strawberry.type
class AuditEntryEdge:
    cursor: str
    node: AuditEntry


@strawberry.type
class AuditEntryConnection:
    edges: list[AuditEntryEdge]
    page_info: PageInfo

    @classmethod
    def of(cls, page: Page[models.audit.AuditEntry]) -> AuditEntryConnection:
        edges = [
            AuditEntryEdge(cursor=c, node=AuditEntry.of(one)) for c, one in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.of(page))


@strawberry.input
class CreateApiKeyInput:
    name: str
    role: Role
    expires_at: datetime | None = None


@strawberry.input
class RevokeApiKeyInput:
    api_key_id: strawberry.ID


@strawberry.type
class ApiKeyPayload:
    api_key: ApiKey | None = None
    secret: str | None = strawberry.field(default=None, description="Shown this once.")
    errors: list[MutationError] = strawberry.field(default_factory=list)


@strawberry.type
class KeyQuery:
    @strawberry.field(description="For operators. Newest first; `subjectId` takes a machine's or a launch's id.")
    async def audit_log(
        self, info: Info, subject_id: strawberry.ID | None = None, first: int | None = 50, after: str | None = None
    ) -> AuditEntryConnection:
        return AuditEntryConnection.of(await keys.audit_log(info.context, _record_id(subject_id), first, after))


@strawberry.type
class KeyMutation:
    @strawberry.mutation(description="For operators.", extensions=[ErrorsAsData(ApiKeyPayload)])
    async def create_api_key(self, info: Info, input: CreateApiKeyInput) -> ApiKeyPayload:
        made = await keys.create(info.context, input.name, input.role, input.expires_at)
        return ApiKeyPayload(api_key=ApiKey.of(made.api_key), secret=made.secret.get_secret_value())

    @strawberry.mutation(
        description="For operators. The key is no longer good from now on.", extensions=[ErrorsAsData(ApiKeyPayload)]
    )
    async def revoke_api_key(self, info: Info, input: RevokeApiKeyInput) -> ApiKeyPayload:
        return ApiKeyPayload(api_key=ApiKey.of(await keys.revoke(info.context, key_of("ApiKey", input.api_key_id))))


def _record_id(subject_id: str | None) -> str | None:
    """A record's own id, from the id that the contract shows for it or as the trail itself names it."""
    if subject_id is None:
        return None
    found = parts(subject_id)
    return subject_id if found is None else found[1]
