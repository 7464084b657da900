"""URLs that a service account signs, against the simulated bucket that checks them by code of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from errors import ProviderBusyError, ProviderRefusedError
from providers.http import Http, Reply
from providers.storage.bucket import Bucket, StoredObject
from providers.storage.signing import IamSigner, KeyFileSigner, Signer, UrlSigner, signer_for, string_to_sign
from providers.storage.tokens import NoTokens
from simulator.bucket.api import BucketApi
from simulator.bucket.store import ObjectStore
from simulator.google.metadata import MetadataApi
from simulator.google.service_account import IamCredentialsApi, ServiceAccount

PROJECT = "gamer-test"
NAME = "saves/users/ann/GB/a b'(1)+é~/main/current.tar.gz"
FIVE_MINUTES = timedelta(minutes=5)


@dataclass
class Google:
    url: str
    http: Http
    account: ServiceAccount
    bucket: Bucket

    def urls(self, signer: Signer) -> UrlSigner:
        return UrlSigner(signer, "games", self.url)

    def key_signer(self) -> Signer:
        return KeyFileSigner(self.account.write_key_file())

    def iam_signer(self, account: str | None = None) -> IamSigner:
        return IamSigner(self.http, NoTokens(), account, url=self.url, metadata_url=self.url)

    async def stored(self) -> StoredObject:
        return await self.bucket.write(NAME, b"the save", content_type="application/gzip")

    async def get(self, url: str) -> Reply:
        return await self.http.get(url)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> ServiceAccount:
    return ServiceAccount(PROJECT, tmp_path_factory.mktemp("google") / "service-account.json")


@pytest.fixture
async def google(tmp_path: Path, account: ServiceAccount) -> AsyncIterator[Google]:
    store = ObjectStore(tmp_path / "buckets")
    store.create_bucket("games")
    application = web.Application()
    BucketApi(store, account).add_routes(application.router)
    IamCredentialsApi(account).add_routes(application.router)
    MetadataApi(PROJECT).add_routes(application.router)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url, http = f"http://127.0.0.1:{runner.addresses[0][1]}", Http()
    yield Google(url, http, account, Bucket(http, "games", NoTokens(), endpoint_url=url))
    await http.close()
    await runner.cleanup()


@pytest.mark.parametrize("by", ["key file", "IAM, a named account", "IAM, the machine's account"])
async def test_a_signed_url_opens_its_object_to_whoever_has_it(google: Google, by: str) -> None:
    signers = {
        "key file": google.key_signer(),
        "IAM, a named account": google.iam_signer(google.account.email),
        "IAM, the machine's account": google.iam_signer(),
    }
    stored = await google.stored()

    url = await google.urls(signers[by]).download(NAME, stored.generation, valid=FIVE_MINUTES, file_name="a.tar.gz")
    reply = await google.get(url.text)

    assert (reply.status, reply.body) == (200, b"the save")
    assert reply.headers["content-disposition"] == 'attachment; filename="a.tar.gz"'


async def test_a_signed_url_ends_after_its_time(google: Google) -> None:
    stored, urls = await google.stored(), google.urls(google.key_signer())
    now = datetime.now(UTC)

    almost = await urls.download(
        NAME, stored.generation, valid=FIVE_MINUTES, file_name="a", now=now - timedelta(minutes=4)
    )
    over = await urls.download(
        NAME, stored.generation, valid=FIVE_MINUTES, file_name="a", now=now - timedelta(minutes=6)
    )

    assert (await google.get(almost.text)).status == 200
    refused = await google.get(over.text)
    assert refused.status == 400
    assert b"<Code>ExpiredToken</Code>" in refused.body
    assert almost.expires_at == (now + timedelta(minutes=1)).replace(microsecond=0)


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("X-Goog-Expires=300", "X-Goog-Expires=86400"),
        ("main/current", "main/states"),
        ("filename%3D%22a%22", "filename%3D%22b%22"),
        ("generation=", "generation=1"),
        ("&X-Goog-Signature=", "&X-Goog-Signature=00"),
        ("gamer%40", "other%40"),
    ],
)
async def test_a_url_that_was_changed_opens_nothing(google: Google, part: str, other: str) -> None:
    stored = await google.stored()
    await google.bucket.write(NAME.replace("current", "states"), b"secret", content_type="text/plain")
    url = await google.urls(google.key_signer()).download(NAME, stored.generation, valid=FIVE_MINUTES, file_name="a")
    assert part in url.text

    reply = await google.get(url.text.replace(part, other))

    assert reply.status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in reply.body


async def test_a_url_without_a_signature_opens_nothing(google: Google) -> None:
    stored = await google.stored()
    url = await google.urls(google.key_signer()).download(NAME, stored.generation, valid=FIVE_MINUTES, file_name="a")
    bare = urlsplit(url.text)

    reply = await google.get(f"{bare.scheme}://{bare.netloc}{bare.path}")

    assert reply.status == 403
    assert b"<Code>AccessDenied</Code>" in reply.body


async def test_a_url_opens_the_generation_that_it_was_made_for(google: Google) -> None:
    first = await google.stored()
    await google.bucket.write(NAME, b"a later save", content_type="application/gzip")

    url = await google.urls(google.key_signer()).download(NAME, first.generation, valid=FIVE_MINUTES, file_name="a")

    assert (await google.get(url.text)).body == b"the save"


async def test_a_url_is_not_shown(google: Google) -> None:
    url = await google.urls(google.key_signer()).download(NAME, 1, valid=FIVE_MINUTES, file_name="a")

    assert "http" not in repr(url)
    assert "Signature" not in repr(url)


async def test_a_users_credentials_have_google_sign(google: Google, tmp_path: Path) -> None:
    of_a_user = tmp_path / "user.json"
    of_a_user.write_text(json.dumps({"type": "authorized_user", "client_id": "1"}))
    stored = await google.stored()

    signer = signer_for(of_a_user, google.iam_signer())
    url = await google.urls(signer).download(NAME, stored.generation, valid=FIVE_MINUTES, file_name="a")

    assert (await google.get(url.text)).status == 200


async def test_a_named_account_signs_although_there_is_a_key_file(google: Google) -> None:
    key_file = google.account.write_key_file()

    signer = signer_for(key_file, google.iam_signer("saves@gamer-test.iam.gserviceaccount.com"), account="saves@x.y")

    assert await signer.account() == "saves@gamer-test.iam.gserviceaccount.com"
    with pytest.raises(ProviderRefusedError, match="does not sign for this service: status 403"):
        await signer.sign(b"text")


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"type": "service_account"}', b'{"client_email": "a@b.c", "private_key": "x"}']
)
async def test_a_key_file_that_cannot_sign_is_refused_without_its_content(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key.json"
    file.write_bytes(content)
    urls = UrlSigner(KeyFileSigner(file), "games", "http://127.0.0.1:1")

    with pytest.raises(ProviderRefusedError) as refused:
        await urls.download(NAME, 1, valid=FIVE_MINUTES, file_name="a")

    assert "private_key" not in str(refused.value)


async def test_a_google_that_does_not_answer_is_asked_again_later(tmp_path: Path) -> None:
    http = Http()
    signer = IamSigner(http, NoTokens(), "a@b.c", url="http://127.0.0.1:1")

    with pytest.raises(ProviderBusyError):
        await signer.sign(b"text")
    await http.close()


def test_what_is_signed_is_what_googles_own_library_signs() -> None:
    """The digest is of the canonical request that google-cloud-storage 3.17.1 made of the same values; the URLs of both
    were equal, signature and all."""
    query = {
        "X-Goog-Algorithm": "GOOG4-RSA-SHA256",
        "X-Goog-Credential": "gamer@gamer-test.iam.gserviceaccount.com/20260501/auto/storage/goog4_request",
        "X-Goog-Date": "20260501T120000Z",
        "X-Goog-Expires": "300",
        "X-Goog-SignedHeaders": "host",
        "generation": "1",
        "response-content-disposition": 'attachment; filename="a"',
    }
    path = "/games/saves/users/ann/GB/a%20b%27%281%29%2B%C3%A9~/main/current.tar.gz"

    text = string_to_sign("GET", path, query, {"host": "storage.googleapis.com"})

    assert text.splitlines() == [
        "GOOG4-RSA-SHA256",
        "20260501T120000Z",
        "20260501/auto/storage/goog4_request",
        "bb845fba1ccb8e332c392315f923f3238ecf59539f6529bf1792c5970bbcb222",
    ]
