"""What a process has loaded from which others are forked (forks.py): all that the service loads when it starts."""

import pytest

import composition.gateway
import composition.worker
import server
import simulator.__main__
from placement.gazetteer import load_gazetteer

__all__ = ["composition", "pytest", "server", "simulator"]

load_gazetteer()
