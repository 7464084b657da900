from __future__ import annotations

from datetime import UTC, datetime, timedelta

from streaming.saves.versions import select_superfluous, version_name

NOW = datetime(2026, 11, 30, 14, 30, tzinfo=UTC)


def aged(*ages: timedelta) -> list[str]:
    return [version_name(NOW - age) for age in ages]


def test_the_newest_are_kept_whatever_their_age() -> None:
    names = aged(*(timedelta(days=400, minutes=minute) for minute in range(25)))

    assert select_superfluous(names, NOW, last=20) == sorted(names)[:5]


def test_one_version_of_every_hour_of_a_week_is_kept() -> None:
    names = aged(timedelta(hours=30, minutes=5), timedelta(hours=30, minutes=10), timedelta(hours=29, minutes=5))

    assert select_superfluous(names, NOW, last=1) == aged(timedelta(hours=30, minutes=10))


def test_one_version_of_every_day_of_a_year_is_kept() -> None:
    names = aged(timedelta(days=30), timedelta(days=30, hours=2), timedelta(days=31), timedelta(days=380), timedelta())

    assert select_superfluous(names, NOW, last=1) == aged(timedelta(days=380), timedelta(days=30, hours=2))


def test_the_version_that_the_session_began_with_is_kept() -> None:
    names = aged(*(timedelta(minutes=minute) for minute in range(30)))
    began_with = sorted(names)[0]

    assert began_with in select_superfluous(names, NOW, last=20)
    assert began_with not in select_superfluous(names, NOW, last=20, began_with=[began_with])
