"""How settings are read: what is ignored, what is refused, and with which message."""

from __future__ import annotations

import pytest

from settings import SettingsError, database_in, load_settings

pytestmark = pytest.mark.usefixtures("no_settings_of_this_machine")

SECRET = "0123456789abcdef0123456789abcdef-test"
ATLAS = "mongodb+srv://user:password@cluster.example.net"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        (ATLAS, None),
        (f"{ATLAS}/", None),
        (f"{ATLAS}/?retryWrites=true", None),
        (f"{ATLAS}/admin?authSource=admin", None),
        (f"{ATLAS}/staging?retryWrites=true", "staging"),
        ("mongodb://a.example:27017,b.example:27017/gamer%2Dstaging", "gamer-staging"),
    ],
)
def test_the_database_of_an_address_is_what_stands_behind_its_hosts(uri: str, name: str | None) -> None:
    assert database_in(uri) == name


def test_the_database_that_the_address_names_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_ATLAS_URI", f"{ATLAS}/staging?retryWrites=true")

    assert load_settings().mongodb_database == "staging"


@pytest.mark.parametrize("name", ["gamer", "other"])
def test_two_names_of_a_database_stop_the_start(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("MONGODB_ATLAS_URI", f"{ATLAS}/staging")
    monkeypatch.setenv("MONGODB_DATABASE", name)

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert str(refused.value) == (
        f"MONGODB_DATABASE: is {name}, but MONGODB_ATLAS_URI names the database staging. Set only one of them. "
        "Example: MONGODB_DATABASE=staging"
    )


def test_the_same_name_twice_is_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_ATLAS_URI", f"{ATLAS}/staging")
    monkeypatch.setenv("MONGODB_DATABASE", "staging")

    assert load_settings().mongodb_database == "staging"


@pytest.mark.parametrize("value", [f"{SECRET}\n", f"\t {SECRET} \r\n"])
def test_white_space_around_a_value_is_not_part_of_it(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("JWT_SECRET", value)
    monkeypatch.setenv("PORT", " 8080\n")

    settings = load_settings()

    assert settings.jwt_secret is not None
    assert (settings.jwt_secret.get_secret_value(), settings.port) == (SECRET, 8080)


@pytest.mark.parametrize("name", ["JWT_SECRET", "TENSORDOCK_API_TOKEN", "CORS_ORIGINS", "GCS_BUCKET_NAME"])
def test_a_line_end_inside_a_value_is_refused_and_the_value_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"{SECRET}\n{SECRET}")

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert str(refused.value).startswith(f"{name}: contains a line end; it must be a single line. Example: {name}=")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MONGODB_ATLAS_URI", "hello", "must begin with mongodb:// or mongodb+srv://"),
        ("MONGODB_ATLAS_URI", f"{ATLAS}/a.b", "names a database that is not 1 to 38 letters, digits, "),
        ("DEPLOYMENT", "Main", "must be at most 12 lowercase letters, "),
        ("DEPLOYMENT", "eu1", "must be at most 12 lowercase letters, "),
        ("DEPLOYMENT", "a-very-long-name", "must be at most 12 lowercase letters, "),
        ("MONGODB_DATABASE", "a b", "must be 1 to 38 letters, "),
        ("TEMPORAL_ADDRESS", "https://temporal.example", "must be a host and a port "),
        ("GCP_PROJECT_ID", "Gamer", "must be 6 to 30 lowercase letters, "),
        ("GCP_BILLING_EXPORT_TABLE", "table", "must be project, dataset and table "),
        ("GCS_BUCKET_NAME", "gs://library", "must be 3 to 63 lowercase letters, "),
        ("LOG_LEVEL", "LOUD", "must be DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_a_wrong_value_is_explained_in_words(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as refused:
        load_settings()

    line = str(refused.value)
    assert line.startswith(f"{name}: {words}")
    assert f"Example: {name}=" in line
    assert "\n" not in line
    assert "[" not in line


@pytest.mark.parametrize("name", ["main", "eu-2", "staging", "a", "abcdefghijkl"])
def test_these_are_names_of_deployments(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("DEPLOYMENT", name)

    assert load_settings().deployment == name


def test_the_roles_of_an_identity_provider_are_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_ROLES", "gamer-admins=operator, cn=x=service ,")

    assert load_settings().jwt_roles == (("gamer-admins", "operator"), ("cn=x", "service"))


@pytest.mark.parametrize("value", ["operator", "a=admin", "=operator", "a=operator,b"])
def test_roles_that_are_no_pairs_are_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("JWT_ROLES", value)

    with pytest.raises(SettingsError, match=r"^JWT_ROLES: must be pairs such as their-word=operator, "):
        load_settings()


def test_endpoints_to_measure_are_read_by_provider_and_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "RTT_PROBE_URLS", "CLOUDYPAD:us-central1=http://127.0.0.1:9/ping?a=b, TENSORDOCK:x-1=https://b.test ,"
    )

    probes = [(provider.value, site, str(url)) for provider, site, url in load_settings().rtt_probe_urls]

    assert probes == [
        ("CLOUDYPAD", "us-central1", "http://127.0.0.1:9/ping?a=b"),
        ("TENSORDOCK", "x-1", "https://b.test/"),
    ]


@pytest.mark.parametrize(
    "value",
    [
        "http://a.test/",
        "CLOUDYPAD=http://a.test/",
        "AWS:x=http://a.test/",
        "CLOUDYPAD:x=ftp://a.test/",
        "CLOUDYPAD:x=http://a.test/,CLOUDYPAD:x=http://b.test/",
        "CLOUDYPAD:x=http://a.test;script-src/",
    ],
)
def test_endpoints_to_measure_that_cannot_be_are_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("RTT_PROBE_URLS", value)

    with pytest.raises(SettingsError, match=r"^RTT_PROBE_URLS: "):
        load_settings()
