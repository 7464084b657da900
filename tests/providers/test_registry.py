from __future__ import annotations

import pytest

from errors import ProviderDownError
from providers.base import ProviderName
from providers.registry import Registry
from tests.fakes.cloud import FakeCloud


def test_a_configured_cloud_is_found_by_its_name() -> None:
    tensordock = FakeCloud(ProviderName.TENSORDOCK)
    registry = Registry([tensordock])

    assert registry.get(ProviderName.TENSORDOCK) is tensordock
    assert registry.all() == (tensordock,)
    assert registry.is_configured(ProviderName.TENSORDOCK)


def test_a_cloud_without_credentials_is_down_by_name() -> None:
    registry = Registry([])

    with pytest.raises(ProviderDownError) as caught:
        registry.get(ProviderName.CLOUDYPAD)

    assert caught.value.provider == "CLOUDYPAD"
    assert not registry.is_configured(ProviderName.CLOUDYPAD)
