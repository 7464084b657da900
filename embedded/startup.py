"""What somebody who started the service in a terminal needs to know, in a few lines."""

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
    """`url` is where we listen; `everyone_is` the caller that somebody without credentials is, if any may call;
    `simulated` and `embedded` name what stands in for the real world, and what runs as our children."""
    rows = [("GraphiQL", f"{url}/graphql  (four examples are open in it)"), ("You are", _who(everyone_is))]
    if simulated:
        rows.append(("Simulated", f"{_listed(simulated)}: nothing here is real, nothing costs money"))
    if embedded:
        rows.append(("Embedded", f"{_listed(embedded)}, as children that end with us"))
    table = "\n".join(f"  {name:<10} {words}" for name, words in rows)
    return (
        f"\nThe Gamer Provisioner is ready.\n\n{table}\n\n"
        "Launch a game in GraphiQL's tab LaunchMarioOdyssey and watch it become ready in LaunchProgress, "
        f"or launch it from a shell:\n\n  {_command(url)}\n"
    )


def _who(everyone_is: str | None) -> str:
    if everyone_is is None:
        return "nobody yet: send a token (Authorization: Bearer ...) or an API key (X-API-Key: ...)"
    return f"{everyone_is}, and so is EVERYBODY on this machine: no credentials are asked for in development"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _command(url: str) -> str:
    body = json.dumps({"query": LAUNCH})
    return f"curl -s {url}/graphql -H 'Content-Type: application/json' -d {shlex.quote(body)}"
