"""Chooses the media type of a GraphQL response from the Accept header."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final


class MediaType(StrEnum):
    RESPONSE = "application/graphql-response+json"  # request errors have status 400 and no data
    LEGACY = "application/json"  # every GraphQL response has status 200


EVENT_STREAM: Final = "text/event-stream"
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


def accepts_events(accept: str | None) -> bool:
    """Return whether the header names event streams.

    Some clients name them in every request, so this permits a stream but does not ask for one.
    """
    return accept is not None and dict(_weights(accept)).get(EVENT_STREAM, 0.0) > 0


def _weights(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            yield kind, max(0.0, min(1.0, float(weight)))
        except ValueError:
            continue
