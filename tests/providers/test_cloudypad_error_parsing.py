"""Errors of failed runs, from outputs in the form of CloudyPad 0.45.1."""

from __future__ import annotations

import pytest

from providers.cloudypad.error_parsing import reason_in

GREY, OFF = "\x1b[37m", "\x1b[39m\x1b[0m\x1b[0m"
HEAD = (
    f"{GREY}2026-11-22 01:39:21.310{OFF}\t\x1b[31m\x1b[1mERROR\x1b[22m{OFF}\t{GREY}/app/program.js:40{OFF}\tprogram\t\n"
)
STACK = f"  • \x1b[33mcli.js{OFF}\tCommand.<anonymous>{OFF}\n\t{GREY}/app/cli.js:491{OFF}\n"
FOOTER = "Oops, something went wrong.\n\nIf you think this is a bug, please file an issue\n"


def block(what: str, *causes: str) -> str:
    told = f"{HEAD}\x1b[97m\x1b[101m\x1b[1m Error \x1b[22m\x1b[49m{OFF} {what}{OFF}\nerror stack:\n{STACK}"
    return told + "".join(f"Caused by ({number}): {cause}\n{STACK}" for number, cause in enumerate(causes, 1))


MISSING_PULUMI = (
    "CommandError: code: -2\n stdout: \n stderr: Command failed with ENOENT: pulumi version\nspawn pulumi ENOENT\n"
    " err?: Error: Command failed with ENOENT: pulumi version\nspawn pulumi ENOENT\n"
)
REFUSED_BY_GOOGLE = (
    "CommandError: code: 255\n stdout: Updating (gw-1):\n +  gcp:compute:Instance gw-1 creating (0s)\n"
    "    error: 1 error occurred: googleapi: Error 403: Quota 'GPUS_ALL_REGIONS' exceeded\n"
    "Resources:\n    + 3 created\n stderr: \n err?: undefined\n"
)


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        (block("Cannot start", MISSING_PULUMI), "Command failed with ENOENT: pulumi version spawn pulumi ENOENT"),
        (
            block("Cannot create", "Error: Instance initialization failed", REFUSED_BY_GOOGLE),
            "error: 1 error occurred: googleapi: Error 403: Quota 'GPUS_ALL_REGIONS' exceeded",
        ),
        (
            block("Cannot describe", "Error: Instance named 'gw-1' does not exist."),
            "Instance named 'gw-1' does not exist.",
        ),
        (block("Pairing needs a terminal"), "Pairing needs a terminal"),
        (
            f"  gw-1 failed | msg: no space left\n{block('Cannot configure', 'Error: Ansible run failed')}",
            "gw-1 failed | msg: no space left",
        ),
        (
            "TASK [roles/wolf : Start Wolf] ****\n"
            'fatal: [203.0.113.7]: FAILED! => {"changed": false, "msg": "no space left", "stderr": "a\\nb"}\n'
            "PLAY RECAP ****\n203.0.113.7 : ok=1 failed=1\n",
            "roles/wolf : Start Wolf: no space left: b",
        ),
        (
            'TASK [one] ****\nfatal: [h]: FAILED! => {"msg": "expected"}\n...ignoring\nTASK [two] ****\n'
            'fatal: [h]: UNREACHABLE! => {"msg": "no route", "unreachable": true}\n',
            "two: no route",
        ),
        ("2026-11-21 19:22:29.362\tERROR\tx.js:1\tansible\tit broke\n    at run (x.js:1)\n", "it broke"),
        ("error: unknown option '--nam'\n", "error: unknown option '--nam'"),
        ("node: not found\n", "node: not found"),
        ("", "it printed nothing"),
    ],
)
def test_the_root_of_a_failure_is_told(printed: str, reason: str) -> None:
    assert reason_in(f"{FOOTER}{printed}") == reason
