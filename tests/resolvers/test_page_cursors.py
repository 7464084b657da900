"""Cursors name a place in an order and nothing else."""

from __future__ import annotations

import base64

import pytest

from errors import InvalidInputError
from resolvers.pagination import cursor, page_of, page_size, read_cursor, read_mark

FRUIT = ["fig", "apple", "date", "banana", "cherry"]


def test_pages_of_a_list_in_memory_give_every_item_once_in_order() -> None:
    first = page_of(FRUIT, str, "fruit", 2, None)
    second = page_of(FRUIT, str, "fruit", 2, first.cursors[-1])
    third = page_of(FRUIT, str, "fruit", 2, second.cursors[-1])

    assert [first.items, second.items, third.items] == [["apple", "banana"], ["cherry", "date"], ["fig"]]
    assert [page.has_next for page in (first, second, third)] == [True, True, False]
    assert [page.has_previous for page in (first, second, third)] == [False, True, True]


def test_a_cursor_is_good_when_its_item_is_gone() -> None:
    after_banana = page_of(FRUIT, str, "fruit", 2, None).cursors[-1]

    page = page_of(["apple", "cherry"], str, "fruit", 2, after_banana)

    assert page.items == ["cherry"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no cursor",
        "ÿ",
        "A" * 1000,
        cursor("vegetables", "leek"),
        base64.b64encode(b"fruit:").decode(),
        base64.b64encode(b"\xff\xfe").decode(),
        cursor("fruit", "apple") + "\n",
    ],
)
def test_what_is_no_cursor_of_this_list_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        read_cursor("fruit", text)

    assert refusal.value.path == ("after",)


@pytest.mark.parametrize("key", ["now:1", ":1", "9" * 30 + ":1", "-" + "9" * 18 + ":1"])
def test_a_cursor_with_an_impossible_moment_is_refused(key: str) -> None:
    with pytest.raises(InvalidInputError):
        read_mark("launches", cursor("launches", key))


@pytest.mark.parametrize("first", [0, -1, 101, 2**31 - 1])
def test_a_page_holds_between_one_and_a_hundred(first: int) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        page_size(first)

    assert refusal.value.path == ("first",)


def test_a_page_whose_size_is_not_given_has_the_usual_size() -> None:
    assert page_size(None) == 50
