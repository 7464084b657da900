"""The service account of the simulated project: its key, and Google's API that signs with it."""

from __future__ import annotations

import base64
import binascii
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

KEY_BITS = 2048
SIGN_BLOB = ":signBlob"


def email_of(project: str) -> str:
    return f"gamer@{project}.iam.gserviceaccount.com"


class ServiceAccount:
    """The account. Its key file is written when it is first needed, in Google's form, and kept."""

    def __init__(self, project: str, key_file: Path) -> None:
        self.email = email_of(project)
        self.key_file = key_file
        self._project = project

    def sign(self, content: bytes) -> bytes:
        return self._key.sign(content, padding.PKCS1v15(), hashes.SHA256())

    def has_signed(self, content: bytes, signature: bytes) -> bool:
        try:
            self._key.public_key().verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True

    def write_key_file(self) -> Path:
        """Write the key file unless it is there, and return its path."""
        assert self._key
        return self.key_file

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        if self.key_file.exists():
            key = serialization.load_pem_private_key(self._stored()["private_key"].encode(), None)
            assert isinstance(key, rsa.RSAPrivateKey)
            return key
        key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        self._store(key)
        return key

    def _stored(self) -> dict[str, Any]:
        return dict(json.loads(self.key_file.read_text()))

    def _store(self, key: rsa.RSAPrivateKey) -> None:
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.key_file.parent.mkdir(parents=True, exist_ok=True)
        self.key_file.touch(mode=0o600)
        document = {"type": "service_account", "project_id": self._project, "private_key_id": "simulated-key"}
        document |= {"private_key": pem.decode(), "client_email": self.email}
        self.key_file.write_text(json.dumps(document))


class IamCredentialsApi:
    """The Service Account Credentials API, as far as signing goes."""

    def __init__(self, account: ServiceAccount) -> None:
        self._account = account

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/projects/-/serviceAccounts/{account}", self._sign_blob)

    async def _sign_blob(self, request: web.Request) -> web.Response:
        name = request.match_info["account"]
        if not name.endswith(SIGN_BLOB):
            return _error(404, "Not Found", "NOT_FOUND")
        if name != self._account.email + SIGN_BLOB:
            # Google does not say whether there is such an account.
            return _error(403, "Permission 'iam.serviceAccounts.signBlob' denied on resource", "PERMISSION_DENIED")
        try:
            content = base64.b64decode((await request.json())["payload"], validate=True)
        except (ValueError, KeyError, TypeError, binascii.Error):
            return _error(400, "Request contains an invalid argument.", "INVALID_ARGUMENT")
        signed = base64.b64encode(self._account.sign(content)).decode()
        return web.json_response({"keyId": "simulated-key", "signedBlob": signed})


def _error(status: int, message: str, word: str) -> web.Response:
    return web.json_response({"error": {"code": status, "message": message, "status": word}}, status=status)
