"""The simulated Google Cloud as the tool's cloud library would reach it."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from simulator.cloudypad import world
from simulator.cloudypad.terminal import CommandError

TIMEOUT_S = 600
NO_CREDENTIALS = "Could not load the default credentials. Browse to the documentation for how to set them up."


def call(method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make one call to Google, which ends when its work is done. Raises CommandError with the cloud's words."""
    return _request(method, f"/gcp{path}", body)


def post(path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Make one call to the simulator's own controls. Raises CommandError."""
    return _request("POST", path, body)


def _request(method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
    base = os.environ.get(world.CONTROL_URL)
    if not base:
        raise CommandError(NO_CREDENTIALS)
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - the simulator's own
        f"{base}{path}", data, {"Content-Type": "application/json"}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        raise CommandError(_message(error.read())) from None
    except OSError as error:
        raise CommandError(f"request to Google failed, reason: {error}") from None


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return "Unknown error of the cloud"
