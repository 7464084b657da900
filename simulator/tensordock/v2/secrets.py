"""`/secrets`: stored SSH keys and other values."""

from __future__ import annotations

import uuid
from typing import Any, Final

from aiohttp import web

from simulator.faults import Api, Call, Operation
from simulator.tensordock.cloud import Cloud
from simulator.tensordock.v2.words import BASE, DIALECT, Authentication, json_body, member, success
from simulator.tensordock.wire import Answer

TYPES: Final = ("SSHKEY", "GENERIC", "SECRET")
CALL: Final = Call(Operation.SECRETS, Api.V2)


class Secrets:
    """The stored values, which can be created, read and deleted, and never change."""

    def __init__(self, cloud: Cloud, authentication: Authentication) -> None:
        self._cloud = cloud
        self._authentication = authentication

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get(f"{BASE}/secrets", self.list_all)
        router.add_post(f"{BASE}/secrets", self.create)
        router.add_get(f"{BASE}/secrets/{{id}}", self.get)
        router.add_delete(f"{BASE}/secrets/{{id}}", self.delete)

    async def list_all(self, request: web.Request) -> web.StreamResponse:
        async def act() -> Answer:
            secrets = [
                {"type": secret["type"], "id": secret_id, "name": secret["name"]}
                for secret_id, secret in self._cloud.secrets.items()
            ]
            return Answer({"data": {"secrets": secrets}})

        return await self._authentication.answer(request, CALL, act)

    async def create(self, request: web.Request) -> web.StreamResponse:
        attributes = member(await json_body(request), "data", "attributes")
        secret = {name: member(attributes, name) for name in ("name", "type", "value")}

        async def act() -> Answer:
            if issues := _issues(secret):
                return Answer(issues, 400, ok=False)
            secret_id = str(uuid.uuid4())
            self._cloud.keep_secret(secret_id, secret)
            return Answer({"data": {"type": "secret", "id": secret_id, "name": secret["name"]}}, 201)

        return await self._authentication.answer(request, CALL, act)

    async def get(self, request: web.Request) -> web.StreamResponse:
        secret_id = request.match_info["id"]

        async def act() -> Answer:
            secret = self._cloud.secrets.get(secret_id)
            if secret is None:
                return DIALECT.refusal(404, "Secret not found")
            value = {} if secret["type"] == "SECRET" else {"value": secret["value"]}
            return Answer({"data": {"type": "secret", "id": secret_id, "name": secret["name"], **value}})

        return await self._authentication.answer(request, CALL, act)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        async def act() -> Answer:
            if not self._cloud.forget_secret(request.match_info["id"]):
                return DIALECT.refusal(404, "Secret not found")
            return success("Secret deleted successfully", beside=True)

        return await self._authentication.answer(request, CALL, act)


def _issues(secret: dict[str, Any]) -> list[dict[str, Any]]:
    missing = [name for name, value in secret.items() if not isinstance(value, str) or not value]
    unknown_type = ["type"] if "type" not in missing and secret["type"] not in TYPES else []
    return [
        {"code": "invalid_type", "message": "Invalid or missing value", "path": ["data", "attributes", name]}
        for name in missing + unknown_type
    ]
