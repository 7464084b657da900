"""The HTTP status of a GraphQL response.

By default errors before execution are 400, and every response with data is 200, as the official audits of GraphQL over
HTTP expect. With the draft of August 2026, a response of the media type `application/graphql-response+json` says more:
294 for data with errors, 422 for a request that is understood but cannot be executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from schema.execution.errors import FORBIDDEN, INTERNAL, PARSE_FAILED, UNAVAILABLE
from schema.execution.requests import RequestFailedError
from web.content_negotiation import MediaType
from web.request_parsing import MalformedRequestError, RequestParseError

PARTIAL_SUCCESS: Final = 294
UNPROCESSABLE: Final = 422
_DRAFT: Final[Mapping[str, int]] = MappingProxyType(
    {PARSE_FAILED: 400, FORBIDDEN: 403, INTERNAL: 500, UNAVAILABLE: 503}  # all others are 422
)


class ResponseStatus:
    """Chooses statuses. `draft`: those of the draft, for responses of its media type."""

    def __init__(self, *, draft: bool) -> None:
        self._draft = draft

    def of_answer(self, answer: Mapping[str, Any], kind: MediaType) -> int:
        """Return the status of a response with data, which may be null or partial."""
        return PARTIAL_SUCCESS if self._applies(kind) and answer.get("errors") else 200

    def of_failure(self, error: RequestFailedError, kind: MediaType | None, *, names_document: bool) -> int:
        """Return the status of a request that was not executed.

        `names_document`: the request had no text but a hash, as a client sends it that reads statuses.
        """
        if self._applies(kind):
            return _DRAFT.get(error.faults[0]["extensions"]["code"], UNPROCESSABLE)
        return 400 if kind is MediaType.RESPONSE or names_document else 200

    def of_parse_error(self, error: RequestParseError, kind: MediaType | None) -> int:
        """Return the status of a request that could not be read."""
        malformed = isinstance(error, MalformedRequestError)
        return UNPROCESSABLE if malformed and self._applies(kind) else error.status

    def _applies(self, kind: MediaType | None) -> bool:
        return self._draft and kind is MediaType.RESPONSE
