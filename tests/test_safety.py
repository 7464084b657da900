from __future__ import annotations

from collections.abc import Mapping

import pytest

from safety import faults, lets_developer_in, refuse_unsafe
from schema.execution.limits import Limits
from settings import Settings, SettingsError, load_settings

pytestmark = pytest.mark.usefixtures("no_settings_of_this_machine")

SECRET = "correct horse battery staple, and then some"
PRODUCTION: dict[str, str | None] = {
    "ENVIRONMENT": "production",
    "DEPLOYMENT": "main",
    "HOST": "0.0.0.0",
    "JWT_SECRET": SECRET,
    "CORS_ORIGINS": "https://play.example.com",
    "TENSORDOCK_API_TOKEN": "abcdef123456",
    "GCS_BUCKET_NAME": "gamer-library",
    "MONGODB_ATLAS_URI": "mongodb+srv://user:password@cluster.example.net",
    "TEMPORAL_ADDRESS": "gamer.a1b2c.tmprl.cloud:7233",
    "SSH_KEY_PATH": "/secrets/id_ed25519",
    "API_KEY_SECRET": SECRET,
}
JWKS = "https://id.example.com/jwks.json"


def with_environment(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str | None]) -> Settings:
    for name, value in variables.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    return load_settings()


def test_the_defaults_are_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_environment(monkeypatch, {})

    refuse_unsafe(settings)
    assert lets_developer_in(settings)


@pytest.mark.parametrize("keys", [{}, {"JWT_SECRET": None, "JWT_JWKS_URL": JWKS}])
def test_a_complete_production_starts(monkeypatch: pytest.MonkeyPatch, keys: dict[str, str | None]) -> None:
    settings = with_environment(monkeypatch, PRODUCTION | keys)

    assert list(faults(settings)) == []
    assert not lets_developer_in(settings)


@pytest.mark.parametrize(
    ("changed", "variable"),
    [
        ({"JWT_SECRET": None}, "JWT_SECRET"),
        ({"JWT_SECRET": None, "HOST": "127.0.0.1"}, "JWT_SECRET"),
        ({"JWT_JWKS_URL": JWKS}, "JWT_JWKS_URL"),
        ({"JWT_SECRET": None, "JWT_JWKS_URL": "http://id.example.com/jwks.json"}, "JWT_JWKS_URL"),
        ({"DEPLOYMENT": None}, "DEPLOYMENT"),
        ({"TEMPORAL_TLS_CERT_PATH": "/secrets/temporal.pem"}, "TEMPORAL_TLS_KEY_PATH"),
        ({"TEMPORAL_TLS_KEY_PATH": "/secrets/temporal.key"}, "TEMPORAL_TLS_CERT_PATH"),
        ({"JWT_SECRET": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBxGamerProvisionerTestKey"}, "JWT_SECRET"),
        ({"CORS_ORIGINS": "*"}, "CORS_ORIGINS"),
        ({"CORS_ORIGINS": "https://play.example.com, *"}, "CORS_ORIGINS"),
        ({"CORS_ORIGINS": "null"}, "CORS_ORIGINS"),
        ({"TENSORDOCK_API_TOKEN": None}, "TENSORDOCK_API_TOKEN"),
        ({"TENSORDOCK_API_URL": "http://127.0.0.1:8100/api"}, "TENSORDOCK_API_URL"),
        ({"TENSORDOCK_API_URL": "http://[::1]:8100/api"}, "TENSORDOCK_API_URL"),
        ({"GCS_BUCKET_NAME": None}, "GCS_BUCKET_NAME"),
        ({"MONGODB_ATLAS_URI": None}, "MONGODB_ATLAS_URI"),
        ({"TEMPORAL_ADDRESS": None}, "TEMPORAL_ADDRESS"),
        ({"SSH_KEY_PATH": None}, "SSH_KEY_PATH"),
        ({"API_KEY_SECRET": None}, "API_KEY_SECRET"),
        ({"GCS_ENDPOINT_URL": "http://localhost:8100"}, "GCS_ENDPOINT_URL"),
        ({"GCS_SIGNING_URL": "http://localhost:8100"}, "GCS_SIGNING_URL"),
        ({"GOOGLE_CATALOG_URL": "http://127.0.0.1:8101"}, "GOOGLE_CATALOG_URL"),
        ({"GOOGLE_LOCATION_FINDER_URL": "http://127.0.0.1:8100"}, "GOOGLE_LOCATION_FINDER_URL"),
        ({"GOOGLE_COMPUTE_URL": "http://127.0.0.1:8102"}, "GOOGLE_COMPUTE_URL"),
        ({"ALERT_WEBHOOK_URL": "https://ops.example.com/hooks"}, "ALERT_WEBHOOK_SECRET"),
        ({"METRICS_PORT": "9100"}, "METRICS_TOKEN"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example.net:4318",
                "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=0123",
            },
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
        ({"ALERT_WEBHOOK_URL": "http://ops.example.com", "ALERT_WEBHOOK_SECRET": SECRET}, "ALERT_WEBHOOK_URL"),
    ],
)
def test_production_refuses_what_is_not_safe_and_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str | None], variable: str
) -> None:
    settings = with_environment(monkeypatch, PRODUCTION | changed)

    with pytest.raises(SettingsError) as refused:
        refuse_unsafe(settings)

    line = str(refused.value)
    assert line.startswith(f"{variable}: ")
    assert "Example: " in line
    assert "\n" not in line
    assert SECRET not in line


def test_a_gateway_in_production_needs_nothing_that_only_workers_use(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_environment(monkeypatch, PRODUCTION | {"SSH_KEY_PATH": None})

    assert list(faults(settings, "gateway")) == []
    assert [fault.partition(":")[0] for fault in faults(settings, "worker")] == ["SSH_KEY_PATH"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])
def test_development_that_others_can_reach_needs_tokens(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    open_door = with_environment(monkeypatch, {"HOST": host})
    with pytest.raises(SettingsError, match=r"^HOST: "):
        refuse_unsafe(open_door)

    monkeypatch.setenv("JWT_SECRET", SECRET)
    refuse_unsafe(load_settings())
    assert not lets_developer_in(open_door)


def test_with_tokens_there_is_no_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not lets_developer_in(with_environment(monkeypatch, {"JWT_SECRET": SECRET}))
    assert not lets_developer_in(with_environment(monkeypatch, {"JWT_SECRET": SECRET, "HOST": "0.0.0.0"}))


@pytest.mark.parametrize("name", ["JWT_SECRET", "API_KEY_SECRET", "API_KEY_SECRET_PREVIOUS", "ALERT_WEBHOOK_SECRET"])
def test_a_short_secret_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(SettingsError) as refused:
        with_environment(monkeypatch, {name: "canary-31-characters-long-xxxxx"})

    assert str(refused.value).startswith(f"{name}: must have at least 32 characters. Example: {name}=")
    assert "canary" not in str(refused.value)


def test_secrets_print_as_stars(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_environment(monkeypatch, PRODUCTION | {"API_KEY_SECRET": SECRET})

    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.model_dump())


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_environment(monkeypatch, {"CORS_ORIGINS": " https://a.example , https://b.example,"})

    assert settings.cors_origins == ("https://a.example", "https://b.example")


def test_the_settings_defaults_are_those_of_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_environment(monkeypatch, {})

    assert (
        Limits(
            max_tokens=settings.max_query_tokens,
            max_depth=settings.max_query_depth,
            max_introspection_depth=settings.max_query_introspection_depth,
            max_aliases=settings.max_query_aliases,
            max_directives=settings.max_query_directives,
            max_fragments=settings.max_query_fragments,
            max_root_fields=settings.max_query_root_fields,
            max_page_size=settings.max_page_size,
            max_cost=settings.max_query_cost,
            max_repeated_fields=settings.max_query_repeated_fields,
        )
        == Limits()
    )
