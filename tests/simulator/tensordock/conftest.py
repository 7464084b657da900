from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.simulator.tensordock.stranger import World, opened


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world


@pytest.fixture
async def slow_world(tmp_path: Path) -> AsyncIterator[World]:
    """One in which nothing that takes time ends while a test looks."""
    async with opened(tmp_path, factor=0.001) as world:
        yield world
