"""Print a token for the API, signed with JWT_SECRET: for the first operator of a new deployment.

    JWT_SECRET=… python3 deploy/operator_token.py --subject alice --role operator --hours 8

Needs Python's own library only. With an identity provider (JWT_JWKS_URL) it is of no use: only the provider can sign.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import Mapping

ROLES = ("operator", "service", "player")
SHORTEST_SECRET = 32
LONGEST_HOURS = 24 * 30


def sign(claims: Mapping[str, object], secret: str) -> str:
    """Return the claims as a token that is signed with HS256."""
    head = _encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    signed = f"{head}.{_encode(json.dumps(claims).encode())}"
    return f"{signed}.{_encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def main() -> int:
    """Run the command and return the exit status."""
    parser = argparse.ArgumentParser(description="Print a token for the API, signed with JWT_SECRET.")
    parser.add_argument("--subject", required=True, help="the user's id, the claim `sub`")
    parser.add_argument("--role", choices=ROLES, default="operator")
    parser.add_argument("--hours", type=float, default=8, help=f"how long it is valid, up to {LONGEST_HOURS}")
    parser.add_argument("--issuer", help="the claim `iss`, if JWT_ISSUER is set")
    parser.add_argument("--audience", help="the claim `aud`, if JWT_AUDIENCE is set")
    given = parser.parse_args()
    if not 0 < given.hours <= LONGEST_HOURS:
        parser.error(f"--hours must be above 0 and at most {LONGEST_HOURS}")
    secret = os.environ.get("JWT_SECRET", "").strip()
    if len(secret) < SHORTEST_SECRET:
        parser.error(f"JWT_SECRET is not set, or has fewer than {SHORTEST_SECRET} characters")
    now = int(time.time())
    claims = {
        **{"sub": given.subject, "role": given.role, "iat": now, "exp": now + int(3600 * given.hours)},
        **({"iss": given.issuer} if given.issuer else {}),
        **({"aud": given.audience} if given.audience else {}),
    }
    sys.stdout.write(f"{sign(claims, secret)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
