"""Reads all settings from the environment and `.env`, and reports the first invalid one."""

from __future__ import annotations

from typing import Any, Final

from pydantic import SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsConfigDict

from settings.access import AccessSettings
from settings.billing import BillingSettings
from settings.gateway import GatewaySettings
from settings.graphql import GraphqlSettings
from settings.providers import ProviderSettings
from settings.state import StateSettings, database_in
from settings.tracing import TracingSettings

_MIN_SECRET_LENGTH: Final = 32

_OF_FORM: Final = frozenset({"string_pattern_mismatch", "string_too_long"})

_FORMS: Final = {
    "log_level": "must be DEBUG, INFO, WARNING or ERROR",
    "deployment": "must be at most 12 lowercase letters, dashes and digits, with letters and digits apart by a dash, "
    "beginning with a letter",
    "worker_build_id": "must be 1 to 63 letters, digits, dots, underscores and dashes, beginning with a letter or "
    "digit",
    "mongodb_database": "must be 1 to 38 letters, digits, underscores and dashes",
    "temporal_address": "must be a host and a port with a colon between them, without https://",
    "gcp_project_id": "must be 6 to 30 lowercase letters, digits and dashes, beginning with a letter, not ending with "
    "a dash",
    "gcp_billing_export_table": "must be project, dataset and table with dots between them",
    "gcs_bucket_name": "must be 3 to 63 lowercase letters, digits, dots, underscores and dashes, beginning and ending "
    "with a letter or digit, without gs://",
}


class SettingsError(Exception):
    """One line that names the variable, what is wrong with its value, and an example of a valid one."""


# pydantic collects the fields of the last base first.
class Settings(
    TracingSettings,
    BillingSettings,
    ProviderSettings,
    StateSettings,
    AccessSettings,
    GraphqlSettings,
    GatewaySettings,
):
    """All settings. Frozen; secrets print as stars. Each field's description is its line in the README's table."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, case_sensitive=False
    )

    @model_validator(mode="before")
    @classmethod
    def _strip(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Strip white space: a secret that was stored with `echo` ends with a line end."""
        return {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}

    @field_validator("*", mode="before")
    @classmethod
    def _one_line(cls, value: object) -> object:
        if isinstance(value, str) and any(sign in value for sign in "\r\n\0"):
            raise ValueError("contains a line end; it must be a single line")
        return value

    @field_validator("jwt_secret", "api_key_secret", "api_key_secret_previous", "alert_webhook_secret", "metrics_token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < _MIN_SECRET_LENGTH:
            raise ValueError(f"must have at least {_MIN_SECRET_LENGTH} characters")
        return value


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and `.env`. Raise SettingsError for the first invalid variable."""
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(_faults(error)[0]) from None
    return _with_database_of_address(settings)


def setting_faults(**overrides: Any) -> list[str]:
    """Return a line for each invalid variable of the environment and `.env`."""
    try:
        _with_database_of_address(Settings(**overrides))
    except ValidationError as error:
        return _faults(error)
    except SettingsError as error:
        return [str(error)]
    return []


def _with_database_of_address(settings: Settings) -> Settings:
    if settings.mongodb_atlas_uri is None:
        return settings
    named = database_in(settings.mongodb_atlas_uri.get_secret_value())
    if named is None or named == settings.mongodb_database:
        return settings
    if "mongodb_database" in settings.model_fields_set:
        raise SettingsError(
            f"MONGODB_DATABASE: is {settings.mongodb_database}, but MONGODB_ATLAS_URI names the database {named}. "
            f"Set only one of them. Example: MONGODB_DATABASE={named}"
        )
    return settings.model_copy(update={"mongodb_database": named})


def _faults(error: ValidationError) -> list[str]:
    return [_line(fault) for fault in error.errors(include_url=False, include_context=False, include_input=False)]


def _line(fault: ErrorDetails) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else "settings"
    field = Settings.model_fields.get(name)
    example = f" Example: {name.upper()}={field.examples[0]}" if field and field.examples else ""
    words = _FORMS.get(name) if fault["type"] in _OF_FORM else None
    return f"{name.upper()}: {words or fault['msg'].removeprefix('Value error, ')}.{example}"
