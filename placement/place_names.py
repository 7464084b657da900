"""Normalises place names as hosts type them, so that different spellings of a name match."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

_NAME_LIMIT: Final = 200  # limit of a host-typed name; no real name is longer
_ARTICLES: Final = {"the", "la", "le", "el", "los", "las", "les", "al"}
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
    "GB": (
        "UK",
        "U.K.",
        "United Kingdom of Great Britain and Northern Ireland",
        "Great Britain",
        "Britain",
        "England",
        "Scotland",
        "Wales",
        "Northern Ireland",
    ),
    "AE": ("UAE", "Emirates"),
    "BA": ("Bosnia",),
    "BR": ("Brasil",),
    "BN": ("Brunei Darussalam",),
    "BO": ("Plurinational State of Bolivia",),
    "CD": ("DR Congo", "Congo, The Democratic Republic of the", "Democratic Republic of the Congo", "Congo-Kinshasa"),
    "CH": ("Schweiz", "Suisse"),
    "CI": ("Cote d'Ivoire",),
    "CV": ("Cabo Verde",),
    "FM": ("Federated States of Micronesia",),
    "IR": ("Islamic Republic of Iran",),
    "LA": ("Lao People's Democratic Republic",),
    "LY": ("State of Libya",),
    "MO": ("Macao", "Macao SAR", "China, Macao SAR"),
    "PS": ("Palestine", "State of Palestine"),
    "SY": ("Syrian Arab Republic",),
    "TL": ("Timor-Leste",),
    "TZ": ("United Republic of Tanzania",),
    "VA": ("Holy See",),
    "VE": ("Bolivarian Republic of Venezuela",),
    "CN": ("PR China", "Mainland China"),
    "CZ": ("Czech Republic", "Czechia"),
    "DE": ("Deutschland",),
    "ES": ("España",),
    "HK": ("Hong Kong SAR", "China, Hong Kong SAR", "Hong Kong, China"),
    "IE": ("Republic of Ireland", "Eire"),
    "IT": ("Italia",),
    "CG": ("Congo", "Republic of the Congo", "Congo-Brazzaville"),
    "KP": (
        "North Korea",
        "DPRK",
        "Democratic Republic of Korea",
        "Korea, Democratic People's Republic of",
        "Democratic People's Republic of Korea",
    ),
    "KR": ("Korea", "Republic of Korea", "South Korea"),
    "MD": ("Republic of Moldova",),
    "MK": ("Macedonia", "North Macedonia", "The former Yugoslav Republic of Macedonia"),
    "MM": ("Burma",),
    "NL": ("Holland", "Netherlands", "The Netherlands"),
    "PL": ("Polska",),
    "RU": ("Russian Federation",),
    "SZ": ("Swaziland", "Eswatini"),
    "TR": ("Turkey", "Türkiye"),
    "TW": ("Taiwan, Province of China", "Taiwan ROC"),
    "VN": ("Viet Nam",),
}


_FORMS_OF_STATE: Final = {
    *("arab", "commonwealth", "federal", "federation", "federative", "grand", "duchy", "islamic", "kingdom", "of"),
    *("principality", "republic", "state", "states", "the", "union", "democratic", "socialist", "people", "s"),
}
_BRACKETS: Final = re.compile(r"\(([^()]*)\)")


def normalise(name: str) -> str:
    """Return a name in lower case without diacritics and punctuation.

    "São Paulo" and "sao-paulo" become equal. The result may be empty.
    """
    name = name[:_NAME_LIMIT].casefold()
    if not name.isascii():
        decomposed = unicodedata.normalize("NFKD", name)
        name = "".join(c for c in decomposed if not unicodedata.combining(c)).translate(_LETTERS_WITHOUT_DECOMPOSITION)
    return _SEPARATORS.sub(" ", name).strip()


def spellings(name: str) -> tuple[str, ...]:
    """Return the normalised name and its other likely meanings, the likeliest first.

    "New York, NY" may be "New York". Geographic standards put another name in brackets ("Den Haag ('s-Gravenhage)"), an
    article behind a comma ("Hague, The"), and write "City of London" and "St. Louis".
    """
    name = name[:_NAME_LIMIT]
    head, _, tail = name.partition(",")
    without, inside = _BRACKETS.sub(" ", name), " ".join(_BRACKETS.findall(name))
    forms = [name, f"{tail} {head}" if normalise(tail) in _ARTICLES else head, head, without, inside]
    found = [normalise(form) for form in forms]
    found += [form.removeprefix("city of ").removesuffix(" city") for form in found]
    found += [f"saint {form.partition(' ')[2]}" for form in found if form.startswith(("st ", "ste "))]
    return tuple(spelling for spelling in dict.fromkeys(found) if spelling)


def region_spellings(name: str) -> tuple[str, ...]:
    """Return `spellings`, then the name without words like "County": "Stockholm County" is "Stockholm"."""
    bare = " ".join(word for word in normalise(name).split() if word not in _KINDS_OF_REGION)
    return tuple(dict.fromkeys((*spellings(name), *([bare] if bare else []))))


def country_code(name: str, codes: Mapping[str, str]) -> str | None:
    """Return the code of a country, by its name, its code, or the name that ISO 3166 and the UN use.

    Examples are "Korea, Republic of", "Bolivia (Plurinational State of)" and "Kingdom of Sweden".
    """
    whole = normalise(name)
    if whole in codes:
        return codes[whole]
    head, comma, tail = name[:_NAME_LIMIT].partition(",")
    turned = normalise(f"{tail} {head}" if comma else _turned_brackets(name)).removeprefix("the ")
    bare = " ".join(word for word in whole.split() if word not in _FORMS_OF_STATE)
    return next((codes[form] for form in (turned, normalise(_BRACKETS.sub(" ", name)), bare) if form in codes), None)


def _turned_brackets(name: str) -> str:
    return f"{' '.join(_BRACKETS.findall(name))} {_BRACKETS.sub(' ', name)}"


def country_codes_by_name(countries: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Map normalised names, ISO codes and other common names to two-letter codes.

    Rows are (two-letter code, three-letter code, name).
    """
    codes: dict[str, str] = {}
    for code, code3, name in countries:
        others = _OTHER_COUNTRY_NAMES.get(code, ())
        codes.update({normalise(spelling): code for spelling in (code, code3, name, *others)})
    return codes
