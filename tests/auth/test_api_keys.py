from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from auth.api_keys import ApiKeys, KeyHasher, load_or_create_secret
from auth.callers import Caller, Role
from errors import InvalidInputError, NotFoundError, UnauthenticatedError
from models.api_keys import ApiKey
from models.audit import find_entries
from models.database import Database

ROOT = Caller("root", Role.OPERATOR)
OLD, NEW = SecretStr("old" * 12), SecretStr("new" * 12)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(db: Database, clock: Clock) -> ApiKeys:
    return ApiKeys(db, KeyHasher(OLD), now=clock)


async def refused(keys: ApiKeys, key: SecretStr) -> None:
    with pytest.raises(UnauthenticatedError) as error:
        await keys.verify(key)
    assert error.value.message == "the API key is not valid"


async def test_whoever_holds_a_key_is_called_after_it_and_has_its_role(keys: ApiKeys) -> None:
    made = await keys.create(ROOT, "web app", Role.SERVICE)

    assert await keys.verify(made.secret) == Caller(f"key-{made.api_key.id}", Role.SERVICE, None)


async def test_two_keys_share_nothing(keys: ApiKeys) -> None:
    one, two = [await keys.create(ROOT, "same name", Role.SERVICE) for _ in range(2)]

    assert one.api_key.id != two.api_key.id
    assert one.secret.get_secret_value()[-43:] != two.secret.get_secret_value()[-43:]


async def test_the_key_is_nowhere_in_what_is_kept_or_printed(keys: ApiKeys, db: Database) -> None:
    made = await keys.create(ROOT, "web app", Role.SERVICE)
    secret = made.secret.get_secret_value().split("_", 2)[2]

    kept = await db.aggregate(ApiKey, [])

    assert secret not in str(kept)
    assert secret not in repr(made)
    assert secret not in str([entry.model_dump() for entry in await find_entries(db)])


async def test_making_and_revoking_are_in_the_audit_log(keys: ApiKeys, db: Database, clock: Clock) -> None:
    made = await keys.create(ROOT, "web app", Role.SERVICE)
    clock.now += timedelta(seconds=1)
    await keys.revoke(ROOT, made.api_key.id)

    trail = await find_entries(db)

    assert [(e.action, e.actor_id, e.subject_id, e.outcome) for e in trail] == [
        ("revokeApiKey", "root", made.api_key.id, "DONE"),
        ("createApiKey", "root", made.api_key.id, "DONE"),
    ]


async def test_a_revoked_key_is_refused_at_once(keys: ApiKeys) -> None:
    made = await keys.create(ROOT, "web app", Role.SERVICE)
    await keys.verify(made.secret)

    await keys.revoke(ROOT, made.api_key.id)

    await refused(keys, made.secret)


async def test_revoking_again_changes_nothing_and_is_in_the_audit_log(
    keys: ApiKeys, db: Database, clock: Clock
) -> None:
    made = await keys.create(ROOT, "web app", Role.SERVICE)
    first = await keys.revoke(ROOT, made.api_key.id)
    clock.now += timedelta(hours=1)

    second = await keys.revoke(ROOT, made.api_key.id)

    again, *_ = await find_entries(db)
    assert second.revoked_at == first.revoked_at
    assert (again.action, again.outcome, again.detail) == ("revokeApiKey", "DONE", "web app, revoked before")
    assert len(await find_entries(db)) == 3


async def test_of_many_who_revoke_at_once_one_does_and_each_is_in_the_audit_log(keys: ApiKeys, db: Database) -> None:
    made = await keys.create(ROOT, "web app", Role.SERVICE)

    revoked = await asyncio.gather(*(keys.revoke(ROOT, made.api_key.id) for _ in range(4)))

    details = sorted(entry.detail or "" for entry in await find_entries(db) if entry.action == "revokeApiKey")
    assert {key.revoked_at for key in revoked} == {revoked[0].revoked_at}
    assert details == ["web app", *["web app, revoked before"] * 3]


async def test_an_expired_key_is_refused(keys: ApiKeys, clock: Clock) -> None:
    end = clock.now + timedelta(hours=1)
    made = await keys.create(ROOT, "web app", Role.SERVICE, end)

    assert (await keys.verify(made.secret)).expires_at == end
    clock.now = end

    await refused(keys, made.secret)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
        lambda key: key.replace("gamer_", "GAMER_"),
        lambda key: key.upper(),
        lambda key: key + "\n",
        lambda key: key + "A",
        lambda key: "gamer_" + "0" * 16 + key[22:],
        lambda key: "gamer_$ne_" + key[23:],
        lambda key: key[:22],
        lambda _: "",
        lambda _: "gamer_" + "A" * 100_000,
    ],
)
async def test_a_key_that_is_not_quite_right_is_refused(keys: ApiKeys, spoil: Callable[[str], str]) -> None:
    made = await keys.create(ROOT, "web app", Role.SERVICE)

    await refused(keys, SecretStr(spoil(made.secret.get_secret_value())))


@pytest.mark.parametrize("name", ["", " ", "a" * 65, "x\n", "$(reboot)", "naïve", "a\u2028b", "-rf"])
async def test_a_name_that_is_none_is_refused_and_nothing_is_made(keys: ApiKeys, db: Database, name: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        await keys.create(ROOT, name, Role.SERVICE)

    assert error.value.path == ("name",)
    assert await db.count(ApiKey, {}) == 0
    assert await find_entries(db) == []


@pytest.mark.parametrize("end", [datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2030, 1, 1)])  # noqa: DTZ001 - nowhere
async def test_an_end_that_is_past_or_nowhere_is_refused(keys: ApiKeys, db: Database, end: datetime) -> None:
    with pytest.raises(InvalidInputError) as error:
        await keys.create(ROOT, "web app", Role.SERVICE, end)

    assert error.value.path == ("expiresAt",)
    assert await db.count(ApiKey, {}) == 0


@pytest.mark.parametrize("key_id", ["0" * 16, "", "$ne", '{"$gt": ""}', "../keys", "0" * 17, "A" * 16, "0" * 15 + "\n"])
async def test_an_id_that_nothing_has_is_not_found(keys: ApiKeys, db: Database, key_id: str) -> None:
    await keys.create(ROOT, "web app", Role.SERVICE)

    with pytest.raises(NotFoundError):
        await keys.revoke(ROOT, key_id)

    assert await db.count(ApiKey, {"revoked_at": None}) == 1
    assert len(await find_entries(db)) == 1


async def test_the_last_use_is_noted_once_a_minute(keys: ApiKeys, db: Database, clock: Clock) -> None:
    made = await keys.create(ROOT, "web app", Role.SERVICE)
    noted: list[datetime | None] = []

    for seconds in (0, 59, 1, 30):
        clock.now += timedelta(seconds=seconds)
        await keys.verify(made.secret)
        stored = await db.get(ApiKey, made.api_key.id)
        assert stored is not None
        noted.append(stored.last_used_at)

    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert noted == [noon, noon, noon + timedelta(minutes=1), noon + timedelta(minutes=1)]


async def test_a_key_lives_through_a_change_of_the_servers_secret_once_it_was_used(db: Database, clock: Clock) -> None:
    before = ApiKeys(db, KeyHasher(OLD), now=clock)
    used, unused = [await before.create(ROOT, name, Role.SERVICE) for name in ("used", "unused")]

    await ApiKeys(db, KeyHasher(NEW, previous=OLD), now=clock).verify(used.secret)

    after = ApiKeys(db, KeyHasher(NEW), now=clock)
    assert (await after.verify(used.secret)).id == f"key-{used.api_key.id}"
    await refused(after, unused.secret)


async def test_a_copy_of_the_database_lets_nobody_in(db: Database, keys: ApiKeys, clock: Clock) -> None:
    made = await keys.create(ROOT, "web app", Role.SERVICE)

    await refused(ApiKeys(db, KeyHasher(NEW), now=clock), made.secret)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        KeyHasher(SecretStr("x" * 31))
    with pytest.raises(ValueError, match="at least 32 bytes"):
        KeyHasher(NEW, SecretStr(""))


def test_a_hosts_own_secret_is_made_once_and_read_by_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "data" / "api_key_secret"

    first, second = load_or_create_secret(path), load_or_create_secret(path)

    assert first == second
    assert re.fullmatch(r"[A-Za-z0-9_-]{64}", first.get_secret_value())
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
