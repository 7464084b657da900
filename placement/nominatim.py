"""Looks up one place name in Nominatim, OpenStreetMap's search, through geopy."""

from __future__ import annotations

from typing import Any, Final, Protocol

from errors import InvalidInputError
from placement.coordinates import Position
from placement.gazetteer import Located, Precision
from providers.base import Place

USER_AGENT: Final = "gamer-provisioner"
_ANSWER_WITHIN_S: Final = 5
_TEXT_LIMIT: Final = 200


class Answer(Protocol):
    """The part of geopy's Location that is used here."""

    @property
    def latitude(self) -> float: ...
    @property
    def longitude(self) -> float: ...
    @property
    def raw(self) -> dict[str, Any]: ...


class Nominatim(Protocol):
    """The part of geopy's geocoder that is used here. Blocks, and raises geopy's own errors."""

    def geocode(self, query: dict[str, str], *, addressdetails: bool, language: str) -> Answer | None: ...


def geopy_nominatim() -> Nominatim:
    """Return geopy's geocoder with our user agent."""
    from geopy.geocoders import Nominatim as GeopyNominatim  # noqa: PLC0415  (only where it is allowed)

    geopy: Nominatim = GeopyNominatim(user_agent=USER_AGENT, timeout=_ANSWER_WITHIN_S)
    return geopy


def geocode(nominatim: Nominatim, place: Place) -> Located | None:
    """Look up a place; None if Nominatim does not know it. Blocks, so call it in a thread.

    Raises OSError or ValueError if there is no usable response.
    """
    from geopy.exc import GeopyError  # noqa: PLC0415  (loaded by then)

    parts = {"city": place.city, "state": place.region, "country": place.country}
    query = {name: text.strip()[:_TEXT_LIMIT] for name, text in parts.items() if text.strip()}
    if not query:
        return None
    try:
        answer = nominatim.geocode(query, addressdetails=True, language="en")
    except GeopyError as error:
        raise OSError("Nominatim gave no response") from error
    return None if answer is None else _parse(answer, place)


def _parse(answer: Answer, place: Place) -> Located:
    try:
        position = Position.create(float(answer.latitude), float(answer.longitude))
    except InvalidInputError as error:
        raise ValueError("Nominatim returned impossible coordinates") from error
    code = answer.raw.get("address", {}).get("country_code")
    return Located(position, code.upper() if code else None, Precision.TOWN if place.city else Precision.REGION)
