"""A world to launch in."""

from tests.world import world

__all__ = ["world"]
