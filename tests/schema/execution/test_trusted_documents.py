"""Documents as clients print them, and documents that are learned by their hash."""

from __future__ import annotations

import pytest
from graphql import parse, print_ast

from schema.execution.trusted_documents import FOLDER, LearnedDocuments, TrustedDocuments, sha256_of, text_of

DOCUMENTS = TrustedDocuments.of_folder()
VIEWER = "query Viewer { viewer { id role } }"
NAMES = sorted(file.stem for file in FOLDER.glob("*.graphql"))


@pytest.mark.parametrize("name", NAMES)
def test_every_document_is_trusted_as_a_client_prints_it(name: str) -> None:
    printed = print_ast(parse(text_of(name)))

    assert DOCUMENTS.is_trusted(printed)
    assert DOCUMENTS.get(sha256_of(printed)) == printed
    assert DOCUMENTS.name_of(printed) == name


def test_the_form_of_a_client_with_a_cache_has_a_hash_too() -> None:
    documents = TrustedDocuments([VIEWER], {VIEWER: "Viewer"})
    with_typename = "query Viewer {\n  viewer {\n    id\n    role\n    __typename\n  }\n}"

    assert documents.get(sha256_of(with_typename)) == with_typename
    assert documents.name_of(with_typename) == "Viewer"


@pytest.mark.parametrize(
    "text",
    [
        "query Viewer{viewer{id role}}",
        "query Viewer { viewer { __typename id role } }",
        "query Viewer { __typename viewer { id, role } } # a comment",
    ],
)
def test_layout_and_typename_make_no_difference(text: str) -> None:
    assert TrustedDocuments([VIEWER]).is_trusted(text)


@pytest.mark.parametrize(
    "text",
    [
        "query Viewer { viewer { id } }",
        "query Viewer { viewer { id role name } }",
        "query Viewer { viewer { id role kind: __typename } }",
        "query Viewer { viewer { id role __typename @skip(if: true) } }",
        "query Other { viewer { id role } }",
        "query Viewer { viewer { id role } } query More { viewer { id } }",
        "query Viewer { viewer { role id } }",
        "query Viewer {",
        "",
    ],
)
def test_everything_else_is_another_document(text: str) -> None:
    assert not TrustedDocuments([VIEWER]).is_trusted(text)


def test_a_learned_document_is_found_by_its_hash() -> None:
    learned = LearnedDocuments()

    learned.add(sha256_of(VIEWER).upper(), VIEWER)

    assert learned.get(sha256_of(VIEWER)) == VIEWER
    assert learned.get("0" * 64) is None


def test_the_least_recently_used_ones_are_forgotten_and_a_large_one_is_never_kept() -> None:
    learned = LearnedDocuments(max_characters=30)
    for text in ("a" * 10, "b" * 10, "c" * 10):
        learned.add(sha256_of(text), text)
    learned.get(sha256_of("a" * 10))

    learned.add(sha256_of("d" * 10), "d" * 10)
    learned.add(sha256_of("e" * 31), "e" * 31)

    kept = [letter for letter in "abcde" if learned.get(sha256_of(letter * (31 if letter == "e" else 10)))]
    assert kept == ["a", "c", "d"]
