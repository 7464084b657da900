"""A deployment for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.service import Deployment, deployment


@pytest.fixture
async def deployed(
    tmp_path: Path, mongodb_uri: str, temporal_address: str, no_settings_of_this_machine: None
) -> AsyncIterator[Deployment]:
    async with deployment(tmp_path, mongodb_uri, temporal_address) as deployed:
        yield deployed
