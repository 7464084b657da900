"""Settings of alerts, spending limits and the provider's own billing data."""

from __future__ import annotations

from pydantic import AnyHttpUrl, Field, SecretStr
from pydantic_settings import BaseSettings


class BillingSettings(BaseSettings):
    alert_webhook_url: AnyHttpUrl | None = Field(
        None,
        description="URL to which alerts are sent. Absent: they are not sent.",
        examples=["https://ops.example.com/hooks/gamer"],
    )
    alert_webhook_secret: SecretStr | None = Field(
        None,
        description="Secret that signs the alerts sent to ALERT_WEBHOOK_URL, at least 32 characters.",
        examples=["$(openssl rand -base64 48)"],
    )
    spending_stop_grace_seconds: float = Field(
        120.0,
        ge=0,
        le=3600,
        description="How long before a hard spending limit stops a machine its player is warned.",
        examples=["120"],
    )
    gcp_billing_export_table: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9-]{4,61}[a-z0-9]\.[A-Za-z0-9_]+\.[A-Za-z0-9_]+$",
        description="Google's detailed billing export in BigQuery. Absent: Google's actual charges are unknown.",
        examples=["gamer-prod.billing.gcp_billing_export_resource_v1_012345_567890_ABCDEF"],
    )
    gcp_bigquery_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://bigquery.googleapis.com"),
        description="URL of BigQuery's API.",
        examples=["https://bigquery.googleapis.com"],
    )
    gcp_billing_account: str | None = Field(
        None,
        description="Google Cloud billing account. From the billing export, only the charges to this account are read.",
        examples=["012345-567890-ABCDEF"],
    )
