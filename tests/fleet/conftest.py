"""A world to launch in, and a TensorDock to rent from."""

from tests.providers.conftest import connect, stand_in
from tests.world import faulty_world, world

__all__ = ["connect", "faulty_world", "stand_in", "world"]
