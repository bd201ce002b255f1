"""Certificates for tests of DANE, and the records that name them."""

import hashlib
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from posthouse.delivery.dane import public_key_octets
from posthouse.dns.answers import TlsaRecord
from tests.delivery.given import NOON

YEAR = timedelta(days=365)


class Issued:
    """A certificate with its key; it may issue others."""

    def __init__(
        self,
        name: str,
        issuer: "Issued | None" = None,
        *,
        authority: bool = False,
        dns: tuple[str, ...] = (),
        ends: datetime = NOON + YEAR,
        critical: bool = False,
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(NOON, ends) - YEAR)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if dns:
            names = x509.SubjectAlternativeName([x509.DNSName(it) for it in dns])
            builder = builder.add_extension(names, critical=False)
        if critical:
            odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"x")
            builder = builder.add_extension(odd, critical=True)
        self.certificate: x509.Certificate = builder.sign(
            issuer.key if issuer else self.key, hashes.SHA256()
        )

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return key + self.certificate.public_bytes(Encoding.PEM)

    def record(self, usage: int, selector: int = 1, matching: int = 1) -> TlsaRecord:
        octets = self.der if selector == 0 else public_key_octets(self.certificate)
        if matching:
            octets = (hashlib.sha256 if matching == 1 else hashlib.sha512)(octets).digest()
        return TlsaRecord(usage, selector, matching, octets)
