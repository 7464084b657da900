"""`gamer keys`: API keys of other services, for operators."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from .exits import CommandError, ExitStatus
from .machines import all_pages
from .output import moment, print_facts, print_json, print_table
from .running import run
from .service import Service
from .words import AsJson, Role

keys = typer.Typer(help="List, create and revoke API keys. Operators only.", no_args_is_help=True)


@keys.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List API keys, newest first; the keys themselves are never shown."""

    async def show(service: Service) -> None:
        found = await all_pages(service, "ApiKeys", "apiKeys")
        if as_json:
            print_json(found)
            return
        print_table(
            ("id", "name", "role", "created", "expires", "last used", "revoked"),
            (
                (
                    *(each["id"], each["name"], each["role"]),
                    *(moment(each[name]) for name in ("createdAt", "expiresAt", "lastUsedAt", "revokedAt")),
                )
                for each in found
            ),
        )

    run(show, as_json=as_json)


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="A name by which operators recognise the key.")],
    role: Annotated[Role, typer.Option(case_sensitive=False, help="The role of callers that use it.")] = Role.SERVICE,
    expires: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="When it expires, UTC.")
    ] = None,
    secret_file: Annotated[
        Path | None, typer.Option(help="Write the key into a new file with mode 0600 instead of showing it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create an API key. The key is shown once, and cannot be read again."""

    async def make(service: Service) -> None:
        wanted: dict[str, Any] = {"name": name, "role": role.value}
        if expires is not None:
            wanted["expiresAt"] = expires.replace(tzinfo=UTC).isoformat()
        # Made before the key is, so that no key is lost because its file cannot be written.
        file = None if secret_file is None else _new_file(secret_file)
        try:
            payload = await service.change("CreateApiKey", "createApiKey", input=wanted)
        except CommandError:
            if secret_file is not None:
                secret_file.unlink()
            raise
        made, secret = payload["apiKey"], payload["secret"]
        if file is not None:
            with os.fdopen(file, "w", encoding="ascii") as opened:
                opened.write(f"{secret}\n")
        shown = {} if file is not None else {"secret": secret}
        if as_json:
            print_json({**made, **shown})
        else:
            print_facts({"id": made["id"], "name": made["name"], "role": made["role"], **shown})

    run(make, as_json=as_json)


@keys.command("revoke")
def revoke(
    id: Annotated[str, typer.Argument(help="The id of the key, as `gamer keys list` shows it.", metavar="ID")],
    as_json: AsJson = False,
) -> None:
    """Revoke an API key with immediate effect."""

    async def change(service: Service) -> None:
        key = (await service.change("RevokeApiKey", "revokeApiKey", apiKeyId=id))["apiKey"]
        print_json(key) if as_json else typer.echo(f"{key['name']}  revoked {moment(key['revokedAt'])}")

    run(change, as_json=as_json)


def _new_file(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"cannot create {path}: {error.strerror}", ExitStatus.USAGE) from None
