"""Settings of credentials: tokens, roles, API keys and the metrics endpoint."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

ROLES: Final = ("player", "operator", "service")


class AccessSettings(BaseSettings):
    jwt_secret: SecretStr | None = Field(
        None,
        description="Secret of HS256 tokens, at least 32 characters.",
        examples=["$(openssl rand -base64 48)"],
    )
    jwt_jwks_url: AnyHttpUrl | None = Field(
        None,
        description="URL of the identity provider's key set for RS256 and ES256 tokens. Use instead of JWT_SECRET.",
        examples=["https://id.example.com/.well-known/jwks.json"],
    )
    jwt_issuer: str | None = Field(
        None, min_length=1, description="The `iss` that tokens must carry.", examples=["https://id.example.com/"]
    )
    jwt_audience: str | None = Field(
        None, min_length=1, description="The `aud` that tokens must carry.", examples=["gamer-provisioner"]
    )
    jwt_role_claim: str | None = Field(
        None,
        min_length=1,
        description="Claim that holds the role or the list of roles; dots lead into nested claims. Absent: "
        "`role`, a single word.",
        examples=["realm_access.roles"],
    )
    jwt_roles: Annotated[tuple[tuple[str, str], ...], NoDecode] = Field(
        (),
        description="The identity provider's names for the roles `operator`, `service` and `player`, as "
        "`theirs=ours`, separated by commas. Absent: the same names.",
        examples=["gamer-admins=operator,gamer-backend=service"],
    )
    api_key_secret: SecretStr | None = Field(
        None,
        description="Secret that keys the hashes of API keys; the same for all processes. Absent: "
        "`api-key-secret` in DATA_DIR, created at the first start.",
        examples=["$(openssl rand -base64 48)"],
    )
    api_key_secret_previous: SecretStr | None = Field(
        None,
        description="The former API_KEY_SECRET. Needed until every key that was created with it has been used again.",
        examples=["the value that API_KEY_SECRET had"],
    )
    metrics_token: SecretStr | None = Field(
        None,
        description="Bearer token with which Prometheus reads /metrics in production, besides operators and "
        "services; at least 32 characters.",
        examples=["$(openssl rand -hex 32)"],
    )
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port on which a worker without a gateway serves /metrics and /health. Absent: none.",
        examples=["9100"],
    )

    @field_validator("jwt_roles", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [pair.strip().rpartition("=") for pair in value.split(",") if pair.strip()]
        if any(not theirs.strip() or ours.strip() not in ROLES for theirs, _, ours in pairs):
            raise ValueError(f"must be pairs such as their-word=operator, of the roles {', '.join(ROLES)}")
        return tuple((theirs.strip(), ours.strip()) for theirs, _, ours in pairs)
