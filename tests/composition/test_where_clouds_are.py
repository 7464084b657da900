"""A cloud on this machine is a simulated one, however its address is written."""

from __future__ import annotations

import pytest

from composition.embedded_defaults import needs_simulator
from composition.providers import tensordock_options
from settings import load_settings

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBxGamerProvisionerTestKey"


@pytest.mark.parametrize(
    ("url", "simulated"),
    [
        ("http://127.0.0.1:8790/api", True),
        ("http://localhost:8790", True),
        ("http://[::1]:8790/api/v2/", True),
        ("https://dashboard.tensordock.com/api", False),
        ("http://[2001:db8::1]:8790", False),
    ],
)
def test_a_tensordock_on_this_machine_is_simulated_and_comes_with_a_simulated_bucket(url: str, simulated: bool) -> None:
    settings = load_settings(tensordock_api_url=url, tensordock_api_token="a-token", gcs_bucket_name=None)

    assert tensordock_options(settings, KEY).simulated is simulated
    assert needs_simulator(settings) is simulated
