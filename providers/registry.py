"""The clouds that this service may use."""

from __future__ import annotations

from collections.abc import Iterable

from errors import ProviderDownError
from providers.base import Provider, ProviderName


class Registry:
    """Holds the configured clouds alone; a cloud that is not in it has no credentials."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._providers = {provider.name: provider for provider in providers}

    def get(self, name: ProviderName) -> Provider:
        """Raises ProviderDownError for a cloud that is not configured."""
        try:
            return self._providers[name]
        except KeyError:
            raise ProviderDownError(f"{name} is not configured", name) from None

    def all(self) -> tuple[Provider, ...]:
        """In the order they were given."""
        return tuple(self._providers.values())

    def configured(self, name: ProviderName) -> bool:
        return name in self._providers
