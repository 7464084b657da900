"""Settings of OpenTelemetry traces, under the names that OpenTelemetry gave them."""

from __future__ import annotations

import re
from typing import Final

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

_HEADERS: Final = re.compile(r"[\w-]+=[\x21-\x2b\x2d-\x7e]*(?:, ?[\w-]+=[\x21-\x2b\x2d-\x7e]*)*", re.ASCII)


class TracingSettings(BaseSettings):
    otel_exporter_otlp_endpoint: AnyHttpUrl | None = Field(
        None,
        description="Collector for OpenTelemetry traces, by OTLP over HTTP; `/v1/traces` is added. Absent: nothing is "
        "traced.",
        examples=["https://collector.example.net:4318"],
    )
    otel_exporter_otlp_headers: SecretStr | None = Field(
        None,
        description="Headers for the collector, as `name=value` with commas between them; values percent-encoded.",
        examples=["x-api-key=0123abcd"],
    )
    otel_traces_sampler_arg: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the traces beginning here that are recorded. A caller's decision in `traceparent` "
        "is respected.",
        examples=["0.1"],
    )

    @field_validator("otel_exporter_otlp_headers")
    @classmethod
    def _are_headers(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _HEADERS.fullmatch(value.get_secret_value()):
            raise ValueError("must be name=value pairs with commas between them, values percent-encoded")
        return value
