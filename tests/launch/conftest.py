"""A world to launch in."""

from tests.world import faulty_world, world

__all__ = ["faulty_world", "world"]
