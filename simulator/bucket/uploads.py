"""The three kinds of uploads: content alone, with its description, and in pieces."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.bucket.objects import Preconditions

CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class BadUploadError(Exception):
    """Google would refuse this upload; the message says why."""


@dataclass(slots=True)
class Session:
    """An upload in pieces, between its first request and its last."""

    bucket: str
    name: str
    resource: Mapping[str, Any]
    preconditions: Preconditions
    id: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    content: bytearray = field(default_factory=bytearray)


def split_related(content_type: str, body: bytes) -> tuple[dict[str, Any], str, bytes]:
    """Return a multipart/related body as the object's resource, its content type and its content."""
    boundary = re.search(r'boundary="?([^";]+)"?', content_type)
    if not boundary:
        raise BadUploadError("Missing multipart boundary")
    parts = body.split(b"--" + boundary[1].encode())
    if len(parts) < 4:
        raise BadUploadError("Multipart must contain two non-empty parts")
    described = _part(parts[1])[1]
    # The content itself may hold the boundary's text only where no client would choose it.
    headers, content = _part(parts[2])
    return parsed_resource(described), headers.get("content-type", "application/octet-stream"), content


def parsed_resource(body: bytes) -> dict[str, Any]:
    try:
        resource = json.loads(body) if body.strip() else {}
    except ValueError:
        raise BadUploadError("Parse Error") from None
    if resource is None:  # how rclone says that nothing is to be changed
        return {}
    if not isinstance(resource, dict):
        raise BadUploadError("Parse Error")
    return resource


def add_piece(session: Session, content_range: str | None, body: bytes) -> bool:
    """Add a piece at its place, and return whether it was the last one. A repeated piece is added once."""
    if content_range is None:
        session.content[:] = body
        return True
    found = CONTENT_RANGE.fullmatch(content_range)
    if not found:
        raise BadUploadError("Failed to parse Content-Range header.")
    total = None if found[3] == "*" else int(found[3])
    if found[1] is not None:
        start = int(found[1])
        if start > len(session.content) or int(found[2]) - start + 1 != len(body):
            raise BadUploadError("The piece does not fit to what has arrived.")
        session.content[start : start + len(body)] = body
    return total is not None and len(session.content) >= total


def _part(part: bytes) -> tuple[dict[str, str], bytes]:
    # A part without headers begins with the empty line itself.
    head, _, content = part.partition(b"\r\n\r\n")
    lines = [line.partition(":") for line in head.decode(errors="replace").split("\r\n")]
    return {name.strip().lower(): value.strip() for name, _, value in lines}, content.removesuffix(b"\r\n")
