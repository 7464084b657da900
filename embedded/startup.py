"""The text that the service prints in a terminal when it is ready."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Final

LAUNCH: Final = (
    'mutation { launchGame(input: {console: SWITCH, gameId: "mario-odyssey", '
    "location: {latitude: 32.7767, longitude: -96.7970}}) "
    "{ launch { id status estimatedReadyAt } errors { code message } } }"
)


def startup_text(url: str, *, everyone_is: str | None, simulated: Sequence[str], embedded: Sequence[str]) -> str:
    """Return the text.

    `url` is where the service listens. `everyone_is` is the caller that requests without credentials become, if any.
    `simulated` and `embedded` name the parts that are simulated, and those that run as child processes.
    """
    rows = [
        ("Console", f"{url}/console  (play, and watch machines and costs)"),
        ("GraphiQL", f"{url}/graphql  (opens with four examples)"),
        ("You are", _identity(everyone_is)),
    ]
    if simulated:
        rows.append(("Simulated", f"{_listed(simulated)}: nothing is real and nothing costs money"))
    if embedded:
        rows.append(("Embedded", f"{_listed(embedded)}, as child processes that end with the service"))
    table = "\n".join(f"  {name:<10} {text}" for name, text in rows)
    return (
        f"\nThe Gamer Provisioner is ready.\n\n{table}\n\n"
        "Launch a game in the console and watch it become ready, "
        f"or launch it from a shell:\n\n  {_command(url)}\n"
    )


def _identity(everyone_is: str | None) -> str:
    if everyone_is is None:
        return "not signed in: send a token (Authorization: Bearer ...) or an API key (X-API-Key: ...)"
    return f"{everyone_is}, like EVERY user of this machine: development requires no credentials"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _command(url: str) -> str:
    body = json.dumps({"query": LAUNCH})
    return f"curl -s {url}/graphql -H 'Content-Type: application/json' -d {shlex.quote(body)}"
