from __future__ import annotations

import json
import shlex
from pathlib import Path

from graphql import build_schema, parse, validate

from embedded.startup import startup_text

URL = "http://127.0.0.1:8000"


def test_the_start_says_where_who_and_what_is_not_real() -> None:
    text = startup_text(
        URL,
        everyone_is="the operator `developer`",
        simulated=["TensorDock", "CloudyPad", "the game bucket"],
        embedded=["the database", "Temporal"],
    )

    assert text.splitlines()[:9] == [
        "",
        "The Gamer Provisioner is ready.",
        "",
        "  Console    http://127.0.0.1:8000/console  (play, and watch machines and costs)",
        "  GraphiQL   http://127.0.0.1:8000/graphql  (opens with four examples)",
        "  You are    the operator `developer`, like EVERY user of this machine: development requires no credentials",
        "  Simulated  TensorDock, CloudyPad and the game bucket: nothing is real and nothing costs money",
        "  Embedded   the database and Temporal, as child processes that end with the service",
        "",
    ]


def test_what_is_real_is_not_mentioned() -> None:
    text = startup_text(URL, everyone_is=None, simulated=[], embedded=[])

    assert "Simulated" not in text
    assert "Embedded" not in text
    assert "  You are    not signed in: send a token (Authorization: Bearer ...) or an API key" in text


def test_the_command_to_paste_is_a_launch_by_the_contract() -> None:
    text = startup_text(URL, everyone_is="developer", simulated=["TensorDock"], embedded=[])

    words = shlex.split(text.splitlines()[-1])
    assert words[:3] == ["curl", "-s", f"{URL}/graphql"]
    query = json.loads(words[-1])["query"]
    assert validate(build_schema(Path("graphql/contract.graphql").read_text()), parse(query)) == []
