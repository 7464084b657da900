"""A device of a player's, as far as it takes to be paired."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from xml.etree import ElementTree

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from simulator.machines.wolf.identity import ensure


class Moonlight:
    """The client's half of pairing, by the protocol that Moonlight and its servers share."""

    def __init__(self, url: str, folder: Path, pin: str) -> None:
        """`url` is the server's HTTP port, `folder` where the device keeps its certificate."""
        self._url = url
        self._folder = folder
        self._salt = b"0123456789abcdef"
        self._key = hashlib.sha256(self._salt + pin.encode()).digest()[:16]
        ensure(folder / "moonlight.key", folder / "moonlight.crt")
        self._cert = (folder / "moonlight.crt").read_bytes()
        private = serialization.load_pem_private_key((folder / "moonlight.key").read_bytes(), None)
        assert isinstance(private, rsa.RSAPrivateKey)
        self._private = private

    async def pair(self) -> bool:
        begun = await self._step(phrase="getservercert", salt=self._salt.hex(), clientcert=self._cert.hex())
        server_cert = x509.load_pem_x509_certificate(bytes.fromhex(begun["plaincert"]))
        challenge, secret = b"c" * 16, b"s" * 16
        answered = await self._step(clientchallenge=self._encrypted(challenge).hex())
        answer = self._decrypted(bytes.fromhex(answered["challengeresponse"]))
        server_hash, server_challenge = answer[:32], answer[32:48]
        own_signature = x509.load_pem_x509_certificate(self._cert).signature
        own_hash = hashlib.sha256(server_challenge + own_signature + secret).digest()
        shown = await self._step(serverchallengeresp=self._encrypted(own_hash).hex())
        server_secret, signature = (raw := bytes.fromhex(shown["pairingsecret"]))[:16], raw[16:]
        public = server_cert.public_key()
        assert isinstance(public, rsa.RSAPublicKey)
        public.verify(signature, server_secret, padding.PKCS1v15(), hashes.SHA256())
        server_is_right = hashlib.sha256(challenge + server_cert.signature + server_secret).digest() == server_hash
        signed = secret + self._private.sign(secret, padding.PKCS1v15(), hashes.SHA256())
        ended = await self._step(clientpairingsecret=signed.hex())
        return server_is_right and ended["paired"] == "1"

    async def ask(self, https_url: str, path: str, **query: str) -> ElementTree.Element:
        """Ask as a device does that has paired: over TLS, with its certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self._folder / "moonlight.crt", self._folder / "moonlight.key")
        params = {"uniqueid": "01", **query}
        url = f"{https_url}/{path}"
        async with aiohttp.ClientSession() as http, http.get(url, params=params, ssl=context) as answer:
            return ElementTree.fromstring(await answer.text())

    async def _step(self, **query: str) -> dict[str, str]:
        params = {"uniqueid": "01", **query}
        async with aiohttp.ClientSession() as http, http.get(f"{self._url}/pair", params=params) as answer:
            root = ElementTree.fromstring(await answer.text())
        return {child.tag: child.text or "" for child in root}

    def _encrypted(self, content: bytes) -> bytes:
        encryptor = Cipher(algorithms.AES(self._key), modes.ECB()).encryptor()
        return encryptor.update(content) + encryptor.finalize()

    def _decrypted(self, content: bytes) -> bytes:
        decryptor = Cipher(algorithms.AES(self._key), modes.ECB()).decryptor()
        return decryptor.update(content) + decryptor.finalize()
