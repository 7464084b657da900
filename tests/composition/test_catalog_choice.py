"""Whose Billing Catalog is read: the simulated one, Google's, or none."""

from __future__ import annotations

import pytest

from composition.embedded_defaults import completed
from composition.providers import catalog_of_prices
from embedded.services import Running
from settings import load_settings

pytestmark = pytest.mark.usefixtures("no_settings_of_this_machine")

SIMULATED = {
    "CLOUDYPAD_COMMAND": "/simulated/cloudypad",
    "GCP_PROJECT_ID": "simulated-project",
    "GCS_BUCKET_NAME": "simulated-games",
    "GCS_ENDPOINT_URL": "http://127.0.0.1:8790",
    "GOOGLE_CATALOG_URL": "http://127.0.0.1:8791",
}
NOBODY_RUNS = Running(mongodb_uri=None, temporal_address=None, simulator_environment=SIMULATED)


def test_without_any_cloud_the_simulated_catalog_is_read() -> None:
    settings = completed(load_settings(), NOBODY_RUNS)

    assert str(settings.google_catalog_url) == "http://127.0.0.1:8791/"
    assert catalog_of_prices(settings) is not None


@pytest.mark.parametrize("variable", ["GCP_PROJECT_ID", "TENSORDOCK_API_TOKEN"])
def test_beside_a_real_cloud_there_are_no_simulated_prices(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "gamer-prod")

    settings = completed(load_settings(), NOBODY_RUNS)

    assert settings.google_catalog_url is None
    assert catalog_of_prices(settings) is None  # the bucket is simulated: Google is not asked either


def test_a_real_project_with_a_real_bucket_reads_googles_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCP_PROJECT_ID", "gamer-prod")
    monkeypatch.setenv("GCS_BUCKET_NAME", "gamer-library")

    settings = completed(load_settings(), NOBODY_RUNS)

    assert settings.google_catalog_url is None
    assert catalog_of_prices(settings) is not None
