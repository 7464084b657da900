"""Which clouds this service was set up with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from errors import ProviderRefusedError
from providers.base import Provider, ProviderName


class Registry:
    """The providers by name, in the order in which they were given."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._providers = {provider.name: provider for provider in providers}

    def has(self, name: ProviderName) -> bool:
        return name in self._providers

    def get(self, name: ProviderName) -> Provider:
        """Raises ProviderRefusedError for a cloud that is not set up here."""
        if name not in self._providers:
            raise ProviderRefusedError(f"{name} is not set up here")
        return self._providers[name]

    def all(self) -> Sequence[Provider]:
        return tuple(self._providers.values())
