from __future__ import annotations

import gzip

import pytest
from aiohttp import web

from errors import ProviderBusyError, ProviderError, ProviderRefusedError
from providers.http import Http
from providers.storage.bucket import ABSENT, Bucket, GenerationConflictError
from providers.storage.tokens import NoTokens
from tests.providers.games_bucket import bucket, server
from tests.providers.gcs_stand_in import BucketServer, error

__all__ = ["bucket", "server"]

NAME = "saves/users/player 1/GB/tetris/main/current.tar.gz"
ABOUT = {"name": NAME, "generation": "1001", "timeCreated": "2026-11-21T12:00:00.000Z"}


class OneToken(NoTokens):
    async def token(self) -> str | None:
        return "ya29.secret"


async def test_what_is_written_is_read_back_with_its_generation(bucket: Bucket) -> None:
    stored = await bucket.write(NAME, b"content", content_type="application/gzip")

    read = await bucket.read(NAME, 100)

    assert read == (stored, b"content")
    assert (stored.name, stored.size_bytes, stored.generation) == (NAME, 7, 1001)


async def test_an_object_that_is_not_there_reads_as_none_and_may_be_removed(bucket: Bucket) -> None:
    assert await bucket.stat(NAME) is None
    assert await bucket.read(NAME, 100) is None
    await bucket.remove(NAME)


async def test_a_removed_object_is_gone(bucket: Bucket, server: BucketServer) -> None:
    server.put(NAME, b"content")

    await bucket.remove(NAME)

    assert server.objects == {}


async def test_nothing_is_written_over_another_generation(bucket: Bucket, server: BucketServer) -> None:
    old = server.put(NAME, b"old")
    server.put(NAME, b"newer")

    with pytest.raises(GenerationConflictError):
        await bucket.write(NAME, b"mine", content_type="text/plain", if_generation=old)
    with pytest.raises(GenerationConflictError):
        await bucket.write(NAME, b"mine", content_type="text/plain", if_generation=ABSENT)

    assert server.objects[NAME][1] == b"newer"


async def test_the_expected_generation_is_written_over(bucket: Bucket, server: BucketServer) -> None:
    old = server.put(NAME, b"old")

    stored = await bucket.write(NAME, b"mine", content_type="text/plain", if_generation=old)

    assert server.objects == {NAME: (stored.generation, b"mine")}


async def test_a_long_list_is_read_to_its_last_page(bucket: Bucket, server: BucketServer) -> None:
    server.page_size = 2
    for letter in "cabde":
        server.put(f"roms/{letter}", b"x")
    server.put("saves/x", b"x")

    found = await bucket.list("roms/")

    assert [stored.name for stored in found] == ["roms/a", "roms/b", "roms/c", "roms/d", "roms/e"]


async def test_an_empty_list_has_no_items(bucket: Bucket) -> None:
    assert await bucket.list("nothing/") == ()


async def test_an_object_larger_than_allowed_is_not_fetched(bucket: Bucket, server: BucketServer) -> None:
    server.put(NAME, b"0123456789")

    with pytest.raises(ProviderRefusedError, match="more than the allowed 9"):
        await bucket.read(NAME, 9)

    assert [request.query.get("alt") for request in server.requests] == [None]


async def test_an_object_larger_than_other_answers_may_be_is_fetched_whole(server: BucketServer) -> None:
    http = Http(body_limit_bytes=1000)
    bucket = Bucket(http, "games", NoTokens(), endpoint_url=server.url)
    server.put(NAME, bytes(1_000_000))

    read = await bucket.read(NAME, 1_000_000)

    assert read is not None
    assert read[1] == bytes(1_000_000)
    await http.close()


async def test_content_that_arrives_changed_is_not_handed_out(bucket: Bucket, server: BucketServer) -> None:
    server.put(NAME, b"content")
    about = web.json_response({**ABOUT, "size": "7", "md5Hash": "AAAAAAAAAAAAAAAAAAAAAA=="})
    server.faults.append(about)

    with pytest.raises(ProviderBusyError, match="did not arrive completely"):
        await bucket.read(NAME, 100)


async def test_content_that_was_stored_cut_is_an_error(bucket: Bucket, server: BucketServer) -> None:
    server.faults.append(web.json_response({**ABOUT, "size": "3"}))

    with pytest.raises(ProviderBusyError, match="was not stored completely"):
        await bucket.write(NAME, b"content", content_type="text/plain")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda: error(401, "authError", "Invalid Credentials"), ProviderRefusedError),
        (lambda: error(403, "forbidden", "no storage.objects.list access"), ProviderRefusedError),
        (lambda: error(403, "rateLimitExceeded", "slow down"), ProviderBusyError),
        (lambda: error(404, "notFound", "The specified bucket does not exist."), ProviderRefusedError),
        (lambda: error(429, "rateLimitExceeded", "slow down"), ProviderBusyError),
        (lambda: error(503, "backendError", "try again"), ProviderBusyError),
        (lambda: web.Response(status=502, text="<html>Bad Gateway</html>"), ProviderBusyError),
        (lambda: web.Response(status=200, text="<html>Sign in</html>"), ProviderBusyError),
        (lambda: web.json_response(["nonsense"]), ProviderBusyError),
        (lambda: web.json_response({"items": [{"name": "x"}]}), ProviderBusyError),
        (lambda: web.json_response({"items": [None]}), ProviderBusyError),
        (lambda: web.json_response({"items": 5}), ProviderBusyError),
    ],
)
async def test_every_fault_says_what_the_caller_does_next(
    bucket: Bucket, server: BucketServer, answer: object, expected: type[ProviderError]
) -> None:
    assert callable(answer)
    server.faults.append(answer())

    with pytest.raises(ProviderError) as raised:
        await bucket.list("roms/")

    assert type(raised.value) is expected


async def test_a_list_may_say_null_where_it_has_nothing_to_say(bucket: Bucket, server: BucketServer) -> None:
    server.faults.append(web.json_response({"items": None, "nextPageToken": None}))

    assert await bucket.list("roms/") == ()


async def test_a_list_that_leads_in_a_circle_is_left(bucket: Bucket, server: BucketServer) -> None:
    server.faults.extend(web.json_response({"nextPageToken": "again"}) for _ in range(3))

    with pytest.raises(ProviderBusyError, match="repeats itself"):
        await bucket.list("roms/")


async def test_without_its_bucket_nothing_is_known_of_an_object(bucket: Bucket, server: BucketServer) -> None:
    for ask in (bucket.stat(NAME), bucket.read(NAME, 100), bucket.remove(NAME)):
        server.faults.append(error(404, "notFound", "The specified bucket does not exist."))

        with pytest.raises(ProviderRefusedError, match="bucket does not exist"):
            await ask


async def test_a_bucket_that_is_away_may_be_asked_again() -> None:
    http = Http()
    bucket = Bucket(http, "games", NoTokens(), endpoint_url="http://127.0.0.1:1")

    with pytest.raises(ProviderBusyError):
        await bucket.list("")

    await http.close()


async def test_the_token_goes_into_the_header_and_nowhere_else(server: BucketServer) -> None:
    http = Http()
    bucket = Bucket(http, "games", OneToken(), endpoint_url=server.url)
    server.faults.append(error(401, "authError", "Invalid Credentials for ya29.secret"))

    with pytest.raises(ProviderRefusedError) as raised:
        await bucket.list("")

    assert server.requests[0].headers["Authorization"] == "Bearer ya29.secret"
    assert "ya29" not in raised.value.message
    assert "ya29" not in str(server.requests[0].rel_url)
    await http.close()


async def test_odd_names_arrive_as_they_are(bucket: Bucket, server: BucketServer) -> None:
    name = "roms/gb/a+b %2F#?&=é.gb"

    await bucket.write(name, b"x", content_type="text/plain")
    read = await bucket.read(name, 10)

    assert list(server.objects) == [name]
    assert read is not None
    assert read[1] == b"x"


async def test_an_object_that_is_stored_zipped_is_read_as_what_it_is(bucket: Bucket, server: BucketServer) -> None:
    content = b"level 7 " * 1000
    server.put(NAME, gzip.compress(content))
    server.encodings[NAME] = "gzip"

    read = await bucket.read(NAME, 10_000)

    assert read is not None
    assert (read[0].encoding, read[1]) == ("gzip", content)


async def test_an_object_that_unzips_to_more_than_allowed_is_refused(bucket: Bucket, server: BucketServer) -> None:
    server.put(NAME, gzip.compress(bytes(10**6)))
    server.encodings[NAME] = "gzip"

    with pytest.raises(ProviderError, match=r"more than|allowed|too large"):
        await bucket.read(NAME, 100_000)


async def test_what_is_said_of_an_object_is_stored_beside_it_and_listed(bucket: Bucket) -> None:
    words = {"files": "2", "device": "Málaga, Spain"}

    stored = await bucket.write(NAME, b"content\r\n--part-", content_type="application/gzip", metadata=words)

    assert stored.metadata == words
    assert await bucket.read(NAME, 100) == (stored, b"content\r\n--part-")
    assert [one.metadata for one in await bucket.list("saves/")] == [words]


async def test_a_copy_has_the_content_and_the_words_of_its_source_or_new_words(bucket: Bucket) -> None:
    source = await bucket.write(NAME, b"content", content_type="application/gzip", metadata={"files": "2"})

    same = await bucket.copy(source, "saves/a b")
    other = await bucket.copy(source, "saves/c", content_type="application/gzip", metadata={"files": "3"})

    assert (same.name, same.metadata, same.md5) == ("saves/a b", {"files": "2"}, source.md5)
    assert (other.metadata, other.md5) == ({"files": "3"}, source.md5)
    assert await bucket.read("saves/a b", 100) == (same, b"content")


async def test_nothing_is_copied_from_or_over_another_generation(bucket: Bucket, server: BucketServer) -> None:
    source = await bucket.write(NAME, b"old", content_type="text/plain")
    server.put("saves/taken", b"theirs")

    with pytest.raises(GenerationConflictError):
        await bucket.copy(source, "saves/taken")
    server.put(NAME, b"new")
    with pytest.raises(GenerationConflictError):
        await bucket.copy(source, "saves/free")

    assert server.objects["saves/taken"][1] == b"theirs"
    assert "saves/free" not in server.objects


async def test_only_the_expected_generation_is_removed(bucket: Bucket, server: BucketServer) -> None:
    old = await bucket.write(NAME, b"old", content_type="text/plain")
    newer = server.put(NAME, b"newer")

    with pytest.raises(GenerationConflictError):
        await bucket.remove(NAME, if_generation=old.generation)
    kept = dict(server.objects)
    await bucket.remove(NAME, if_generation=newer)

    assert kept[NAME] == (newer, b"newer")
    assert server.objects == {}


async def test_the_start_of_an_object_is_read_without_the_rest(bucket: Bucket, server: BucketServer) -> None:
    stored = await bucket.write(NAME, b"0123456789", content_type="text/plain")
    empty = await bucket.write("saves/empty", b"", content_type="text/plain")

    assert await bucket.read_start(stored, 4) == b"0123"
    assert await bucket.read_start(stored, 40) == b"0123456789"
    assert await bucket.read_start(empty, 4) == b""
    assert server.requests[-2].headers["Range"] == "bytes=0-39"
