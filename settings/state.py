"""Where state is kept: data folder, MongoDB and Temporal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

_MONGODB_SCHEMES: Final = ("mongodb://", "mongodb+srv://")
_SYSTEM_DATABASES: Final = frozenset(
    {"", "admin", "config", "local"}
)  # in an address they name the authentication database

DATABASE_NAME: Final = "^[A-Za-z0-9_-]{1,38}$"


class StateSettings(BaseSettings):
    data_dir: Path = Field(Path(".data"), description="Folder for all local state.", examples=["/var/lib/gamer"])
    mongodb_atlas_uri: SecretStr | None = Field(
        None,
        description="MongoDB connection string. A database named in it is used. Absent: an embedded database is "
        "started.",
        examples=["mongodb+srv://user:password@cluster.example.net/gamer"],
    )
    mongodb_database: str = Field(
        "gamer",
        pattern=DATABASE_NAME,
        description="Database name, if MONGODB_ATLAS_URI names none.",
        examples=["gamer"],
    )
    temporal_address: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9.-]+:\d{1,5}$",
        description="Temporal's host:port. Absent: an embedded development server is started.",
        examples=["gamer.a1b2c.tmprl.cloud:7233"],
    )
    temporal_namespace: str = Field("default", description="Temporal namespace.", examples=["gamer.a1b2c"])
    temporal_api_key: SecretStr | None = Field(None, description="Temporal Cloud API key.", examples=["eyJhbGciOi..."])
    temporal_tls_cert_path: Path | None = Field(
        None, description="Client certificate for mTLS to Temporal.", examples=["/secrets/temporal.pem"]
    )
    temporal_tls_key_path: Path | None = Field(
        None, description="Private key of that certificate.", examples=["/secrets/temporal.key"]
    )
    temporal_task_queue: str = Field("gamer", description="Task queue of the workers.", examples=["gamer"])
    worker_build_id: str | None = Field(
        None,
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        description="Build version of a worker for Temporal's Worker Versioning. Absent: workers are not versioned.",
        examples=["3c64b46"],
    )

    @field_validator("mongodb_atlas_uri")
    @classmethod
    def _is_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        if not value.get_secret_value().startswith(_MONGODB_SCHEMES):
            raise ValueError("must begin with mongodb:// or mongodb+srv://")
        named = database_in(value.get_secret_value())
        if named is not None and not re.fullmatch(DATABASE_NAME, named):
            raise ValueError("names a database that is not 1 to 38 letters, digits, underscores and dashes")
        return value


def database_in(uri: str) -> str | None:
    """Return the database that a MongoDB address names, or None if it names none or a system database."""
    _, _, rest = uri.partition("://")
    _, _, path = rest.partition("/")
    name = unquote(path.partition("?")[0])
    return None if name in _SYSTEM_DATABASES else name
