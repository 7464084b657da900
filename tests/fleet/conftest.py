"""A world to launch in, and a TensorDock to rent from."""

from tests.providers.conftest import connect, stand_in
from tests.world import world

__all__ = ["connect", "stand_in", "world"]
