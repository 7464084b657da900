"""The clouds that this service is configured for."""

from __future__ import annotations

from collections.abc import Iterable

from errors import ProviderDownError
from providers.base import Provider, ProviderName


class Registry:
    """Holds the configured providers. A cloud that is missing has no credentials."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._providers = {provider.name: provider for provider in providers}

    def get(self, name: ProviderName) -> Provider:
        """Return the provider of this name. Raises ProviderDownError if it is not configured."""
        try:
            return self._providers[name]
        except KeyError:
            raise ProviderDownError(f"{name} is not configured", name) from None

    def all(self) -> tuple[Provider, ...]:
        """Return the providers in the order of the configuration."""
        return tuple(self._providers.values())

    def is_configured(self, name: ProviderName) -> bool:
        return name in self._providers
