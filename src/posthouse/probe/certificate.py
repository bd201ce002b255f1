"""What a mail program sees of a server's TLS: version, certificate, and whether it is trusted."""

import ssl
from datetime import datetime
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID
from msgspec import Struct

NAMES_MAX: Final = 50
OLD_VERSIONS: Final = frozenset({"SSLv3", "TLSv1", "TLSv1.1"})
_CODES: Final = {
    9: "not-yet-valid", 10: "expired", 18: "self-signed", 19: "self-signed",
    20: "unknown-issuer", 21: "unknown-issuer", 62: "other-name", 64: "other-name",
}  # fmt: skip


class TrustProblem(StrEnum):
    """Why a certificate is not trusted (OpenSSL's X509_V_ERR codes, in words)."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    OTHER_NAME = "other-name"
    SELF_SIGNED = "self-signed"
    UNKNOWN_ISSUER = "unknown-issuer"
    OLD_TLS = "old-tls"  # only older versions than programs speak today
    OTHER = "other"


class Certificate(Struct, frozen=True):
    """What it says.

    Attributes:
        names: DNS names and addresses it is for.
        issuer: Name of the authority; the subject itself if it signed itself.
    """

    names: tuple[str, ...]
    issuer: str
    begins: datetime
    ends: datetime


class TlsSeen(Struct, frozen=True):
    """One handshake.

    Attributes:
        version: As OpenSSL says it: ``TLSv1.3``.
        problem: Why a program would warn; None if it is trusted.
        detail: The library's own words about the problem.
    """

    version: str
    cipher: str
    certificate: Certificate | None
    problem: TrustProblem | None = None
    detail: str = ""


class Trust(Struct, frozen=True):
    """Whom to trust.

    Attributes:
        file: PEM file of authorities besides those of the system.
    """

    file: str = ""

    def strict(self) -> ssl.SSLContext:
        """Return what a mail program uses."""
        context = ssl.create_default_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 sets it, they do not
        if self.file:
            context.load_verify_locations(self.file)
        return context

    @staticmethod
    def lax() -> ssl.SSLContext:
        """Return a context that looks at anything, old versions too, to say what is there."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.set_ciphers("ALL:@SECLEVEL=0")
        return context


def problem_of(error: ssl.SSLError) -> tuple[TrustProblem, str]:
    """Return what is wrong, and the library's words, for a failed handshake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        words = str(error.verify_message)
        return TrustProblem(_CODES.get(error.verify_code, "other")), words
    reason = str(error.reason or error)
    old = any(word in reason for word in ("UNSUPPORTED_PROTOCOL", "PROTOCOL_VERSION"))
    return (TrustProblem.OLD_TLS if old else TrustProblem.OTHER), reason


def read_certificate(der: bytes | None) -> Certificate | None:
    """Return what a certificate says; None if there is none, or it cannot be read."""
    if der is None:
        return None
    try:
        certificate = x509.load_der_x509_certificate(der)
        return Certificate(
            _names(certificate),
            _common_name(certificate.issuer),
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
        )
    except ValueError:
        return None


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return tuple(filter(None, [_common_name(certificate.subject)]))
    names = [
        *san.get_values_for_type(x509.DNSName),
        *map(str, san.get_values_for_type(x509.IPAddress)),
    ]
    return tuple(names[:NAMES_MAX])


def _common_name(name: x509.Name) -> str:
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        found = name.get_attributes_for_oid(kind)
        if found:
            return str(found[0].value)
    return name.rfc4514_string()
