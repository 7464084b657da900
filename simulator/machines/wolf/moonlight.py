"""The host's half of Moonlight's pairing: four requests, bound together by a PIN that both sides must know.

The client's certificate and a salt come first and wait for the PIN. Challenges follow, encrypted with a key that is
derived from PIN and salt, so that only a client with the right PIN succeeds.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from simulator.machines.wolf.pairing import PairingRequest
from simulator.machines.wolf.state import WolfState

HASH_BYTES = 32
CHALLENGE_BYTES = 16


@dataclass(slots=True)
class Handshake:
    """The state of one client between its requests."""

    request: PairingRequest
    cert: bytes
    key: bytes
    server_secret: bytes = field(default_factory=lambda: secrets.token_bytes(CHALLENGE_BYTES))
    server_challenge: bytes = field(default_factory=lambda: secrets.token_bytes(CHALLENGE_BYTES))
    client_hash: bytes = b""


class Handshakes:
    def __init__(self, wolf: WolfState) -> None:
        self._wolf = wolf
        self._running: dict[str, Handshake] = {}

    async def step(self, query: Mapping[str, str], client_ip: str) -> dict[str, str]:
        """Handle one request of a client, known by its `uniqueid`, and return the fields of the answer."""
        client = query.get("uniqueid", "")
        try:
            if query.get("phrase") == "getservercert":
                return await self._begin(client, query, client_ip)
            if query.get("phrase") == "pairchallenge":
                return {"paired": "1"}
            handshake = self._running[client]
            if "clientchallenge" in query:
                return self._challenge(handshake, bytes.fromhex(query["clientchallenge"]))
            if "serverchallengeresp" in query:
                return self._respond(handshake, bytes.fromhex(query["serverchallengeresp"]))
            return self._finish(client, handshake, bytes.fromhex(query["clientpairingsecret"]))
        except (KeyError, ValueError):
            return {"paired": "0"}

    async def _begin(self, client: str, query: Mapping[str, str], client_ip: str) -> dict[str, str]:
        cert = bytes.fromhex(query["clientcert"])
        x509.load_pem_x509_certificate(cert)
        salt = bytes.fromhex(query["salt"])
        request = self._wolf.begin_pairing(client_ip, cert=cert.decode())
        try:
            pin = await request.given
        except asyncio.CancelledError:
            return {"paired": "0"}
        key = hashlib.sha256(salt + pin.encode()).digest()[:16]
        self._running[client] = Handshake(request, cert, key)
        return {"paired": "1", "plaincert": self._wolf.identity.certificate.hex()}

    def _challenge(self, handshake: Handshake, encrypted: bytes) -> dict[str, str]:
        challenge = _decrypted(handshake.key, encrypted)
        proof = hashlib.sha256(
            challenge + _signature(self._wolf.identity.certificate) + handshake.server_secret
        ).digest()
        answer = _encrypted(handshake.key, proof + handshake.server_challenge)
        return {"paired": "1", "challengeresponse": answer.hex()}

    def _respond(self, handshake: Handshake, encrypted: bytes) -> dict[str, str]:
        handshake.client_hash = _decrypted(handshake.key, encrypted)[:HASH_BYTES]
        signed = handshake.server_secret + self._wolf.identity.sign(handshake.server_secret)
        return {"paired": "1", "pairingsecret": signed.hex()}

    def _finish(self, client: str, handshake: Handshake, secret: bytes) -> dict[str, str]:
        own = handshake.server_challenge + _signature(handshake.cert) + secret[:CHALLENGE_BYTES]
        right = secrets.compare_digest(hashlib.sha256(own).digest(), handshake.client_hash)
        del self._running[client]
        self._wolf.pairings.end(handshake.request, right=right)
        return {"paired": str(int(right))}


def _signature(cert: bytes) -> bytes:
    return x509.load_pem_x509_certificate(cert).signature


def _decrypted(key: bytes, content: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
    return decryptor.update(content) + decryptor.finalize()


def _encrypted(key: bytes, content: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(content) + encryptor.finalize()
