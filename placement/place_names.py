"""Place names as hosts type them, reduced to what two spellings of one name have in common."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

_NAME_LIMIT: Final = 200  # of a host-typed name; nothing on Earth is longer
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


def normalised(name: str) -> str:
    """Lower case, without diacritics or punctuation: "São Paulo" and "sao-paulo" are one. May be empty."""
    name = name[:_NAME_LIMIT].casefold()
    if not name.isascii():
        decomposed = unicodedata.normalize("NFKD", name)
        name = "".join(c for c in decomposed if not unicodedata.combining(c)).translate(_LETTERS_WITHOUT_DECOMPOSITION)
    return _SEPARATORS.sub(" ", name).strip()


def spellings(name: str) -> tuple[str, ...]:
    """Return the normalised name, and what else it may be meant as, the likeliest first.

    "New York, NY" may be "New York". Geographic standards put another name in brackets ("Den Haag ('s-Gravenhage)"),
    an article behind a comma ("Hague, The"), and write "City of London" and "St. Louis".
    """
    name = name[:_NAME_LIMIT]
    head, _, tail = name.partition(",")
    without, inside = _BRACKETS.sub(" ", name), " ".join(_BRACKETS.findall(name))
    forms = [name, f"{tail} {head}" if normalised(tail) in _ARTICLES else head, head, without, inside]
    found = [normalised(form) for form in forms]
    found += [form.removeprefix("city of ").removesuffix(" city") for form in found]
    found += [f"saint {form.partition(' ')[2]}" for form in found if form.startswith(("st ", "ste "))]
    return tuple(spelling for spelling in dict.fromkeys(found) if spelling)


def region_spellings(name: str) -> tuple[str, ...]:
    """As `spellings`, then without the words for a kind of region: "Stockholm County" is "Stockholm"."""
    bare = " ".join(word for word in normalised(name).split() if word not in _KINDS_OF_REGION)
    return tuple(dict.fromkeys((*spellings(name), *([bare] if bare else []))))


def country_code(name: str, codes: Mapping[str, str]) -> str | None:
    """Look a country up by its name, its code, or the name that ISO 3166 and the UN write: "Korea, Republic of",
    "Bolivia (Plurinational State of)", "Kingdom of Sweden"."""
    whole = normalised(name)
    if whole in codes:
        return codes[whole]
    head, comma, tail = name[:_NAME_LIMIT].partition(",")
    turned = normalised(f"{tail} {head}" if comma else _turned_brackets(name)).removeprefix("the ")
    bare = " ".join(word for word in whole.split() if word not in _FORMS_OF_STATE)
    return next((codes[form] for form in (turned, normalised(_BRACKETS.sub(" ", name)), bare) if form in codes), None)


def _turned_brackets(name: str) -> str:
    return f"{' '.join(_BRACKETS.findall(name))} {_BRACKETS.sub(' ', name)}"


def country_codes_by_name(countries: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Normalised names, ISO codes and common other names to the two-letter code; rows are (code, code of 3, name)."""
    codes: dict[str, str] = {}
    for code, code3, name in countries:
        others = _OTHER_COUNTRY_NAMES.get(code, ())
        codes.update({normalised(spelling): code for spelling in (code, code3, name, *others)})
    return codes
