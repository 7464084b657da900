"""Embedded services for everything that no setting locates, and settings that point to them."""

from __future__ import annotations

import shutil
from typing import Any

from embedded.services import EmbeddedServices, Running
from embedded.simulator import SimulatorOptions
from settings import Environment, Settings, SettingsError, is_loopback, load_settings


def embedded(settings: Settings) -> EmbeddedServices:
    """Return the services to start because no setting says where they are."""
    return EmbeddedServices(
        settings.data_dir,
        mongodb=settings.mongodb_atlas_uri is None,
        temporal=settings.temporal_address is None,
        simulator=SimulatorOptions(settings.simulator_clock_factor, settings.simulator_seed)
        if needs_simulator(settings)
        else None,
        temporal_namespace=settings.temporal_namespace,
    )


def completed(settings: Settings, running: Running) -> Settings:
    """Return the settings, completed with the addresses of the embedded services. Values that were set stay."""
    given = dict(running.simulator_environment)
    if settings.tensordock_api_token is not None:
        # With a real TensorDock, use no simulated Google, and the installed CloudyPad if there is one.
        given = _without(given, "TENSORDOCK_", "GCP_", "GOOGLE_", "IMAGE_")
        given = _without(given, "CLOUDYPAD_") if shutil.which("cloudypad") else given
    if settings.gcs_bucket_name is not None:
        given = _without(given, "GCS_")
    if settings.gcp_project_id is not None:
        given = _without(given, "CLOUDYPAD_", "GCP_", "GOOGLE_", "IMAGE_")
    blanks: dict[str, Any] = {
        name.lower(): value for name, value in given.items() if name.lower() not in settings.model_fields_set
    }
    if running.mongodb_uri is not None:
        blanks["mongodb_atlas_uri"] = running.mongodb_uri
    if running.temporal_address is not None:
        blanks["temporal_address"] = running.temporal_address
    if settings.cloudypad_command is None and "cloudypad_command" not in blanks:
        blanks["cloudypad_command"] = shutil.which("cloudypad") or "cloudypad"
    whole = load_settings(**{**settings.model_dump(include=settings.model_fields_set), **blanks})
    if whole.gcs_bucket_name is None:
        raise SettingsError(
            "GCS_BUCKET_NAME: machines at a real cloud need a real bucket. Example: GCS_BUCKET_NAME=gamer-library"
        )
    return whole


def _without(given: dict[str, str], *prefixes: str) -> dict[str, str]:
    return {name: value for name, value in given.items() if not name.startswith(prefixes)}


def needs_simulator(settings: Settings) -> bool:
    """Return whether the simulated clouds have to run."""
    if settings.environment is Environment.PRODUCTION:
        return False
    if settings.tensordock_api_token is None:
        return True
    lacking = settings.gcs_bucket_name is None or (
        settings.cloudypad_command is None and shutil.which("cloudypad") is None
    )
    return lacking and is_loopback(settings.tensordock_api_url.host or "")


def simulates_google(settings: Settings) -> bool:
    """Return whether Google is a simulation on this machine."""
    return is_loopback(settings.gcs_endpoint_url.host or "")
