"""Place names as hosts type them, reduced to what two spellings of one name have in common."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_NAME_LIMIT: Final = 200  # of a host-typed name; nothing on Earth is longer
_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")
_LETTERS_WITHOUT_DECOMPOSITION: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "\u0131": "i", "þ": "th"}
)
_KINDS_OF_REGION: Final = {
    *("community", "county", "department", "district", "governorate", "kraj", "oblast", "of", "prefecture", "province"),
    *("region", "state", "the", "voivodeship", "wojewodztwo"),
}
_OTHER_COUNTRY_NAMES: Final = {
    "US": ("USA", "U.S.", "U.S.A.", "United States of America", "America"),
    "GB": ("UK", "U.K.", "Great Britain", "Britain", "England", "Scotland", "Wales", "Northern Ireland"),
    "AE": ("UAE", "Emirates"),
    "BA": ("Bosnia",),
    "BR": ("Brasil",),
    "CD": ("DR Congo",),
    "CH": ("Schweiz", "Suisse"),
    "CI": ("Cote d'Ivoire",),
    "CN": ("PR China", "Mainland China"),
    "CZ": ("Czech Republic", "Czechia"),
    "DE": ("Deutschland",),
    "ES": ("España",),
    "HK": ("Hong Kong SAR",),
    "IE": ("Republic of Ireland", "Eire"),
    "IT": ("Italia",),
    "KR": ("Korea", "Republic of Korea", "South Korea"),
    "MD": ("Republic of Moldova",),
    "MK": ("Macedonia", "North Macedonia"),
    "MM": ("Burma",),
    "NL": ("Holland", "Netherlands", "The Netherlands"),
    "PL": ("Polska",),
    "RU": ("Russian Federation",),
    "SZ": ("Swaziland", "Eswatini"),
    "TR": ("Turkey", "Türkiye"),
    "TW": ("Taiwan, Province of China", "Taiwan ROC"),
    "VN": ("Viet Nam",),
}


def normalised(name: str) -> str:
    """Lower case, without diacritics or punctuation: "São Paulo" and "sao-paulo" are one. May be empty."""
    name = name[:_NAME_LIMIT].casefold()
    if not name.isascii():
        decomposed = unicodedata.normalize("NFKD", name)
        name = "".join(c for c in decomposed if not unicodedata.combining(c)).translate(_LETTERS_WITHOUT_DECOMPOSITION)
    return _SEPARATORS.sub(" ", name).strip()


def spellings(name: str) -> tuple[str, ...]:
    """The normalised name, and what stands before a comma: "New York, NY" may also be meant as "New York"."""
    whole, head = normalised(name), normalised(name.partition(",")[0])
    return tuple(spelling for spelling in dict.fromkeys((whole, head)) if spelling)


def region_spellings(name: str) -> tuple[str, ...]:
    """As `spellings`, then without the words for a kind of region: "Stockholm County" is "Stockholm"."""
    bare = " ".join(word for word in normalised(name).split() if word not in _KINDS_OF_REGION)
    return tuple(dict.fromkeys((*spellings(name), *([bare] if bare else []))))


def country_codes_by_name(countries: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Normalised names, ISO codes and common other names to the two-letter code; rows are (code, code of 3, name)."""
    codes: dict[str, str] = {}
    for code, code3, name in countries:
        others = _OTHER_COUNTRY_NAMES.get(code, ())
        codes.update({normalised(spelling): code for spelling in (code, code3, name, *others)})
    return codes
