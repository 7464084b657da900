"""API keys and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry

import models.api_keys
import models.audit
from resolvers import keys
from resolvers.pagination import Page
from schema.arguments import After, First, Input
from schema.audit_subjects import subject_of
from schema.connections import CURSOR, EDGES, NODE, PAGE_INFO, PageInfo
from schema.enums import Role
from schema.ids import global_id, key_of, parts
from schema.mutation_errors import ERRORS, ErrorsAsData, MutationError
from schema.node import Info, Node


@strawberry.type(description="A key with which another service signs in.")
class ApiKey(Node):
    name: str = strawberry.field(description="The name that the operator gave the key.")
    role: Role = strawberry.field(description="The role of callers that use the key.")
    created_at: datetime = strawberry.field(description="When the key was created.")
    expires_at: datetime | None = strawberry.field(description="When the key expires. Null: never.")
    last_used_at: datetime | None = strawberry.field(
        description="When the key was last used, to the minute. Null if it has not been used."
    )
    revoked_at: datetime | None = strawberry.field(description="When the key was revoked. Null if it was not.")

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


@strawberry.type(description="One API key in a page, with its cursor.")
class ApiKeyEdge:
    cursor: str = strawberry.field(description=CURSOR)
    node: ApiKey = strawberry.field(description=NODE)


@strawberry.type(description="A page of API keys.")
class ApiKeyConnection:
    edges: list[ApiKeyEdge] = strawberry.field(description=EDGES)
    page_info: PageInfo = strawberry.field(description=PAGE_INFO)

    @classmethod
    def of(cls, page: Page[models.api_keys.ApiKey]) -> ApiKeyConnection:
        edges = [ApiKeyEdge(cursor=c, node=ApiKey.of(one)) for c, one in zip(page.cursors, page.items, strict=True)]
        return cls(edges=edges, page_info=PageInfo.of(page))


@strawberry.type(description="One entry of the audit log: a change, who made it, and its outcome.")
class AuditEntry(Node):
    at: datetime = strawberry.field(description="When the change was requested.")
    actor_id: str = strawberry.field(
        description="The caller that made the change, or the part of the service, such as `gamer:sweeper`."
    )
    actor_role: Role = strawberry.field(description="The caller's role at that time.")
    action: str = strawberry.field(
        description="What was done: the mutation's name, or a word for what the service does by itself."
    )
    subject_id: strawberry.ID | None = strawberry.field(
        description="The global id of the object that was changed, which `Query.node` opens; a name where the subject "
        "is no such object, such as a user or a container image. Null if there is none."
    )
    outcome: str = strawberry.field(
        description="REQUESTED, DONE, REFUSED, DENIED or FAILED. An entry that stays REQUESTED was interrupted: its "
        "outcome is unknown."
    )
    detail: str | None = strawberry.field(
        description="What changed, or why it did not. Null if there is nothing to add."
    )

    @classmethod
    def of(cls, entry: models.audit.AuditEntry) -> AuditEntry:
        return cls(
            id=global_id("AuditEntry", entry.id),
            at=entry.at,
            actor_id=entry.actor_id,
            actor_role=entry.actor_role,
            action=entry.action,
            subject_id=subject_of(entry),
            outcome=entry.outcome.value,
            detail=entry.detail,
        )


@strawberry.type(description="One audit log entry in a page, with its cursor.")
class AuditEntryEdge:
    cursor: str = strawberry.field(description=CURSOR)
    node: AuditEntry = strawberry.field(description=NODE)


@strawberry.type(description="A page of audit log entries.")
class AuditEntryConnection:
    edges: list[AuditEntryEdge] = strawberry.field(description=EDGES)
    page_info: PageInfo = strawberry.field(description=PAGE_INFO)

    @classmethod
    def of(cls, page: Page[models.audit.AuditEntry]) -> AuditEntryConnection:
        edges = [
            AuditEntryEdge(cursor=c, node=AuditEntry.of(one)) for c, one in zip(page.cursors, page.items, strict=True)
        ]
        return cls(edges=edges, page_info=PageInfo.of(page))


@strawberry.input(description="The API key to create.")
class CreateApiKeyInput:
    name: str = strawberry.field(description="A name by which operators recognise the key.")
    role: Role = strawberry.field(description="The role of callers that use the key.")
    expires_at: datetime | None = strawberry.field(
        default=None, description="When the key expires. If omitted, it does not expire."
    )


@strawberry.input(description="The API key to revoke.")
class RevokeApiKeyInput:
    api_key_id: strawberry.ID = strawberry.field(description="The global id of the key.")


@strawberry.type(description="The result of creating or revoking an API key.")
class ApiKeyPayload:
    api_key: ApiKey | None = strawberry.field(default=None, description="The key. Null if the change was refused.")
    secret: str | None = strawberry.field(
        default=None,
        description="The secret that callers send. It is shown once, when the key is created, and cannot be read "
        "again.",
    )
    errors: list[MutationError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type
class KeyQuery:
    @strawberry.field(
        description="List API keys, newest first, with those that were revoked or have expired. The keys themselves "
        "are not shown: they are in the response that created them and nowhere else. Operators only."
    )
    async def api_keys(self, info: Info, first: First = 50, after: After = None) -> ApiKeyConnection:
        return ApiKeyConnection.of(await keys.api_keys(info.context, first, after))

    @strawberry.field(description="List who changed what, newest first. Operators only.")
    async def audit_log(
        self,
        info: Info,
        subject_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(
                description="Only entries about this object: its global id, or a name as the audit log shows it."
            ),
        ] = None,
        first: First = 50,
        after: After = None,
    ) -> AuditEntryConnection:
        return AuditEntryConnection.of(await keys.audit_log(info.context, _record_id(subject_id), first, after))


@strawberry.type
class KeyMutation:
    @strawberry.mutation(
        description="Create an API key for another service. Operators only.", extensions=[ErrorsAsData(ApiKeyPayload)]
    )
    async def create_api_key(self, info: Info, input: Input[CreateApiKeyInput]) -> ApiKeyPayload:
        made = await keys.create(info.context, input.name, input.role, input.expires_at)
        return ApiKeyPayload(api_key=ApiKey.of(made.api_key), secret=made.secret.get_secret_value())

    @strawberry.mutation(
        description="Revoke an API key with immediate effect. Operators only.", extensions=[ErrorsAsData(ApiKeyPayload)]
    )
    async def revoke_api_key(self, info: Info, input: Input[RevokeApiKeyInput]) -> ApiKeyPayload:
        return ApiKeyPayload(api_key=ApiKey.of(await keys.revoke(info.context, key_of("ApiKey", input.api_key_id))))


def _record_id(subject_id: str | None) -> str | None:
    """Return the record's own id, given its global id or its id as the audit log shows it."""
    if subject_id is None:
        return None
    found = parts(subject_id)
    return subject_id if found is None else found[1]
