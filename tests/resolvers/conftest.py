"""A gateway to ask."""

from tests.gateway import gateway

__all__ = ["gateway"]
