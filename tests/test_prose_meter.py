"""The prose meter counts docstrings, comments and pages, and compares them with the limits of their folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.prose_meter import Prose, Reading, exceeded, places, read_markdown, read_python

ELLIPTIC = '''
def last() -> None:
    """What came last."""


def first() -> None:
    """Return what came first."""
'''


def test_docstrings_and_comments_are_read_and_code_is_not() -> None:
    source = '"""A module."""\n\nnobody = "nobody"  # why\n\nclass Some:\n    """A class."""\n'

    assert [each.text for each in read_python(Path("a.py"), source)] == ["A module.", "A class.", "# why"]


def test_a_function_docstring_without_a_verb_in_front_is_elliptic() -> None:
    found = list(read_python(Path("a.py"), ELLIPTIC))

    assert [each.is_elliptic for each in found] == [True, False]


def test_a_class_may_begin_with_a_noun() -> None:
    assert not Prose(Path("a.py"), 1, "The books of a cloud.").is_elliptic


def test_code_on_a_page_is_not_prose_and_lines_keep_their_numbers() -> None:
    page = "Run this:\n\n```sh\nwho\n```\n\nIt prints `who` and somebody.\n"

    assert [(each.line, each.dialect) for each in read_markdown(Path("a.md"), page) if each.dialect] == [
        (7, ["somebody"])
    ]


def test_a_folder_is_held_to_its_own_limit_and_others_to_the_general_one() -> None:
    prose = [Prose(Path("a/b.py"), 1, "Nobody " + "word " * 99)]
    readings = {"a": Reading(prose), "b": Reading(prose)}

    assert exceeded(readings, {"a": (10.0, 5.0)}) == ["b: 10.0 dialect words per 1,000, 2 are allowed"]


@pytest.mark.parametrize(("limit", "complaints"), [(50.0, 0), (49.9, 1)])
def test_a_limit_may_be_reached_and_not_passed(limit: float, complaints: int) -> None:
    readings = {"a": Reading(list(read_python(Path("a/b.py"), ELLIPTIC)))}

    assert len(exceeded(readings, {"a": (2.0, limit)})) == complaints


def test_each_place_that_counts_is_named() -> None:
    readings = {"a": Reading(list(read_python(Path("a/b.py"), ELLIPTIC)))}

    assert list(places(readings, "a")) == ["a/b.py:3: begins without a verb: What came last."]
