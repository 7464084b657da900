"""What a gateway is made of, and what it never asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from composition.dependencies import compose
from settings import Settings, SettingsError, load_settings

pytestmark = pytest.mark.usefixtures("no_settings_of_this_machine")


def some_settings(tmp_path: Path, mongodb_uri: str, **more: object) -> Settings:
    return load_settings(
        data_dir=tmp_path / "data",
        mongodb_atlas_uri=mongodb_uri,
        temporal_address="127.0.0.1:1",
        tensordock_api_token="token",
        tensordock_api_url="http://127.0.0.1:1/api",
        gcp_project_id="gamer-prod",
        gcs_bucket_name="games",
        gcs_endpoint_url="http://127.0.0.1:1",
        cloudypad_command="/nowhere/cloudypad",
        **more,
    )


async def test_a_gateway_has_no_key_and_makes_none(tmp_path: Path, mongodb_uri: str) -> None:
    missing = tmp_path / "none"
    settings = some_settings(tmp_path, mongodb_uri, ssh_key_path=missing, gcs_library_key_file=missing)

    async with compose(settings, works=False) as parts:
        assert parts.streaming is None
        assert [provider.name for provider in parts.registry.all()] == ["TENSORDOCK", "CLOUDYPAD"]
        assert [(await provider.health()).healthy for provider in parts.registry.all()] == [True, True]

    assert not missing.exists()
    assert not (tmp_path / "data").exists()


async def test_in_production_a_key_that_is_named_is_never_made(tmp_path: Path, mongodb_uri: str) -> None:
    missing = tmp_path / "ssh" / "id_ed25519"
    settings = some_settings(tmp_path, mongodb_uri, ssh_key_path=missing, environment="production")

    with pytest.raises(SettingsError) as refused:
        async with compose(settings):
            pass

    assert str(refused.value) == (
        f"SSH_KEY_PATH: {missing} is not a readable private SSH key. Example: SSH_KEY_PATH=/secrets/id_ed25519"
    )
    assert not missing.parent.exists()


async def test_a_key_that_cannot_be_made_is_told_with_the_reason(tmp_path: Path, mongodb_uri: str) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")

    with pytest.raises(SettingsError) as refused:
        async with compose(some_settings(tmp_path, mongodb_uri)):
            pass

    assert str(refused.value) == (
        f"SSH_KEY_PATH: {tmp_path / 'data' / 'ssh' / 'id_ed25519'} cannot be read or created: Not a directory. "
        "Example: SSH_KEY_PATH=/secrets/id_ed25519"
    )


async def test_in_development_it_is_made_once(tmp_path: Path, mongodb_uri: str) -> None:
    settings = some_settings(tmp_path, mongodb_uri)

    async with compose(settings) as parts:
        assert parts.streaming is not None

    assert (tmp_path / "data" / "ssh" / "id_ed25519").stat().st_mode & 0o777 == 0o600
