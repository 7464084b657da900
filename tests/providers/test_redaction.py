from __future__ import annotations

import pytest

from providers.redaction import clean_line, redact

SECRETS = [
    "hunter2",
    "ya29.a0AfH6SMBx-_y",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAAB",
]


@pytest.mark.parametrize(
    "text",
    [
        "password: hunter2",
        'password="hunter2"',
        "'passwordBase64': 'hunter2',",
        "CLOUD_TOKEN=hunter2 next",
        "https://user:hunter2@example.net/x",
        "Authorization: Bearer hunter2",
        "token ya29.a0AfH6SMBx-_y expired",
        "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "privateKeyContentBase64: b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAAB",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2",
    ],
)
def test_what_looks_like_a_credential_is_hidden(text: str) -> None:
    shown = redact(text)

    assert "***" in shown
    assert not [secret for secret in SECRETS if secret in shown]


@pytest.mark.parametrize(
    "text",
    [
        "Ansible run failed, exit code 2",
        "gamer-123456789012345678 has no token",
        "tar: /var/lib/cloudypad/wolf/player-1/SWITCH-mario-odyssey: No space left",
    ],
)
def test_plain_words_stay(text: str) -> None:
    assert redact(text) == text


def test_a_line_is_one_printable_line_of_limited_length() -> None:
    assert clean_line("\x1b[31mred\x1b[0m\x07 a\nb\x00c\x1b]0;title\x07", 12) == "red  a b c"
    assert clean_line("x y " * 1000, 10) == "x y x y x "
    assert clean_line("") == ""
