"""Chooses the media type of a GraphQL response from the Accept header."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from web.stream_formats import MULTIPART_SUBSCRIPTION, SERVER_SENT_EVENTS, StreamFormat


class MediaType(StrEnum):
    RESPONSE = "application/graphql-response+json"  # request errors have status 400 and no data
    LEGACY = "application/json"  # every GraphQL response has status 200


EVENT_STREAM: Final = "text/event-stream"
MULTIPART: Final = "multipart/mixed"
_UNNAMED: Final = ("application/*", "*/*")


def media_type(accept: str | None) -> MediaType | None:
    """Return the type with the highest weight, the newer one on a tie, or None if neither is accepted.

    A client that accepts anything, or sends no header, gets application/json: it may not know the newer type.
    """
    if accept is None or not accept.strip():
        return MediaType.LEGACY
    weights = dict(_weights(accept))
    named = {kind: weights[kind] for kind in MediaType if kind in weights}
    unnamed = max((weights[kind] for kind in _UNNAMED if kind in weights), default=0.0)
    offers = [(weight, kind) for kind, weight in named.items() if weight > 0]
    if MediaType.LEGACY not in named and unnamed > 0:
        offers.append((unnamed, MediaType.LEGACY))
    return max(offers, key=lambda offer: (offer[0], offer[1] is MediaType.RESPONSE))[1] if offers else None


def stream_format(accept: str | None) -> StreamFormat | None:
    """Return the format in which the client takes a stream, or None if the header names none.

    Some clients name them in every request, so this permits a stream but does not ask for one. `multipart/mixed` alone
    is the format of other protocols, such as that of `@defer`.
    """
    found = [(weight, name) for name, weight in _streams(accept or "") if weight > 0]
    return max(found, key=lambda each: (each[0], each[1] is SERVER_SENT_EVENTS))[1] if found else None


def _streams(accept: str) -> Iterator[tuple[StreamFormat, float]]:
    for kind, weight, parameters in _parts(accept):
        if kind == EVENT_STREAM:
            yield SERVER_SENT_EVENTS, weight
        elif kind == MULTIPART and parameters.get("subscriptionspec") == "1.0":
            yield MULTIPART_SUBSCRIPTION, weight


def _weights(accept: str) -> Iterator[tuple[str, float]]:
    for kind, weight, _ in _parts(accept):
        yield kind, weight


def _parts(accept: str) -> Iterator[tuple[str, float, dict[str, str]]]:
    """Yield each part of the header: type, weight and parameters. Parts with invalid weights are left out."""
    for part in accept.split(","):
        kind, *pieces = (piece.strip().lower() for piece in part.split(";"))
        named = (piece.partition("=") for piece in pieces)
        parameters = {name.strip(): value.strip().strip('"') for name, _, value in named}
        try:
            yield kind, max(0.0, min(1.0, float(parameters.get("q", "1")))), parameters
        except ValueError:
            continue
