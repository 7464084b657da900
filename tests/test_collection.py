"""A test has one name: what failed can be run again by it, and all workers of a run must collect the same."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from tests.conftest import COLLECTED


@pytest.mark.timeout(240)
async def test_the_tests_of_this_run_have_the_same_names_when_they_are_collected_again(
    pytestconfig: pytest.Config,
) -> None:
    """In another process, with another seed of hashes, at another time."""
    names = pytestconfig.stash[COLLECTED]
    again = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *pytestconfig.args,
        cwd=pytestconfig.invocation_params.dir,
        env={**os.environ, "PYTHONHASHSEED": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await again.communicate()

    assert set(names) - set(output.decode().splitlines()) == set()
