"""Wolf's own key and self-signed certificate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

KEY_BITS = 2048
VALID_FOR = timedelta(days=7300)


@dataclass(frozen=True, slots=True)
class Identity:
    """`certificate` is PEM. Read once, when Wolf starts."""

    certificate: bytes
    private_key: rsa.RSAPrivateKey

    def sign(self, content: bytes) -> bytes:
        return self.private_key.sign(content, padding.PKCS1v15(), hashes.SHA256())


def ensure(key_path: Path, cert_path: Path) -> Identity:
    """Return the key and certificate, created if they are missing. A new one makes every client pair again."""
    if not (key_path.exists() and cert_path.exists()):
        _make(key_path, cert_path)
    key = serialization.load_pem_private_key(key_path.read_bytes(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the key is not RSA")
    return Identity(cert_path.read_bytes(), key)


def _make(key_path: Path, cert_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Wolf")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    cert = builder.not_valid_before(now).not_valid_after(now + VALID_FOR).sign(key, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8
    key_path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    key_path.chmod(0o600)
    cert_path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
