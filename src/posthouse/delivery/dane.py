"""Comparing a server's certificates with its TLSA records (RFC 6698, RFC 7671, RFC 7672). Pure.

For mail, usages 2 (DANE-TA) and 3 (DANE-EE) count; 0 and 1 are unusable (RFC 7672 §3.1.3). Of an
end entity nothing but the match counts: no name and no dates (RFC 7671 §5.1). Below a trust anchor
the signatures, dates, basic constraints and the name of the server count (RFC 7671 §5.2).
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from posthouse.dns.answers import TlsaRecord

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
DEPTH_MAX: Final = 8
RECORDS_MAX: Final = 50
"""Records compared; a server that needs more is playing."""
DANE_TA: Final = 2
DANE_EE: Final = 3
_DIGESTS: Final[dict[int, Callable[[bytes], bytes]]] = {
    0: lambda octets: octets,
    1: lambda octets: hashlib.sha256(octets).digest(),
    2: lambda octets: hashlib.sha512(octets).digest(),
}
_DIGEST_OCTETS: Final = {1: 32, 2: 64}
_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.CERTIFICATE_POLICIES,
    }
)
"""A certificate with any other critical extension proves nothing (RFC 5280 §4.2)."""


def usable(records: Collection[TlsaRecord]) -> tuple[TlsaRecord, ...]:
    """Return the records that mean something for mail; of the others none can ever match."""
    return tuple(sorted(it for it in records if _is_usable(it)))[:RECORDS_MAX]


def mismatch(
    chain: Sequence[bytes], records: Collection[TlsaRecord], names: Collection[str], now: datetime
) -> str:
    """Return why the certificates are not what the records say; "" if they are.

    Args:
        chain: What the server showed, in DER, its own certificate first.
        records: Usable ones, at least one; any that matches is enough.
        names: Of which the server's certificate must have one, below a trust anchor.
        now: Carries a zone.
    """
    if not chain:
        return "the server showed no certificate"
    leaf = chain[0]
    if any(_matches(leaf, it) for it in records if it.usage == DANE_EE):
        return ""
    anchors = [it for it in records if it.usage == DANE_TA]
    if not anchors:
        return "the certificate does not match the TLSA records"
    try:
        certificates = [x509.load_der_x509_certificate(it) for it in chain]
        return _Path(certificates, anchors, now).fault() or _name_fault(certificates[0], names)
    except (ValueError, TypeError, x509.DuplicateExtension) as error:
        return f"a certificate cannot be read: {error}"


def _is_usable(record: TlsaRecord) -> bool:
    if record.usage not in (DANE_TA, DANE_EE) or record.selector not in (0, 1):
        return False
    if record.matching in _DIGEST_OCTETS:
        return len(record.data) == _DIGEST_OCTETS[record.matching]
    if record.matching != 0:
        return False
    try:
        if record.selector == 0:
            x509.load_der_x509_certificate(record.data).public_key()
        else:
            load_der_public_key(record.data)
    except Exception:  # noqa: BLE001 - keys of unknown kinds raise what they like: unusable
        return False
    return True


def _matches(certificate: bytes, record: TlsaRecord) -> bool:
    if record.selector == 0:
        selected = certificate
    else:
        try:
            selected = public_key_octets(x509.load_der_x509_certificate(certificate))
        except (ValueError, TypeError):
            return False
    return _DIGESTS[record.matching](selected) == record.data


def public_key_octets(certificate: x509.Certificate) -> bytes:
    """Return the SubjectPublicKeyInfo of a certificate in DER."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class _Path:
    """The way from a server's certificate up to a trust anchor."""

    def __init__(
        self, chain: list[x509.Certificate], anchors: list[TlsaRecord], now: datetime
    ) -> None:
        whole = [it.data for it in anchors if it.matching == 0 and it.selector == 0]
        self._chain = chain + [x509.load_der_x509_certificate(it) for it in whole]
        self._keys = [it.data for it in anchors if it.matching == 0 and it.selector == 1]
        self._anchors = anchors
        self._now = now

    def fault(self) -> str:
        """Return why there is no such way; "" if there is."""
        current, above = self._chain[0], list(self._chain[1:])
        if trouble := self._leaf_trouble(current):
            return trouble
        for depth in range(DEPTH_MAX):
            if self._is_anchor(current) or self._is_below_bare_key(current):
                return ""
            issuer = next((it for it in above if _issued(it, current)), None)
            if issuer is None:
                return "no certificate of the chain is one of the TLSA records' authorities"
            above.remove(issuer)
            if trouble := self._authority_trouble(issuer, depth):
                return trouble
            current = issuer
        return "the chain of certificates is too long"

    def _is_anchor(self, certificate: x509.Certificate) -> bool:
        octets = certificate.public_bytes(Encoding.DER)
        return any(_matches(octets, it) for it in self._anchors)

    def _is_below_bare_key(self, certificate: x509.Certificate) -> bool:
        """A whole key may stand in DNS for an authority whose certificate is not shown."""
        return any(_signed_by_key(certificate, key) for key in self._keys)

    def _leaf_trouble(self, certificate: x509.Certificate) -> str:
        if trouble := self._trouble(certificate):
            return trouble
        usage = _extension(certificate, x509.ExtendedKeyUsage)
        fit = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
        if usage is not None and not fit & set(usage):
            return "the certificate is not for servers"
        return ""

    def _authority_trouble(self, certificate: x509.Certificate, depth: int) -> str:
        if trouble := self._trouble(certificate):
            return trouble
        basic = _extension(certificate, x509.BasicConstraints)
        if basic is None or not basic.ca:
            return "a certificate was issued by one that may not issue any"
        if basic.path_length is not None and basic.path_length < depth:
            return "the chain of certificates is longer than its authority allows"
        key = _extension(certificate, x509.KeyUsage)
        if key is not None and not key.key_cert_sign:
            return "a certificate was issued by a key that may not sign any"
        return ""

    def _trouble(self, certificate: x509.Certificate) -> str:
        if not certificate.not_valid_before_utc <= self._now <= certificate.not_valid_after_utc:
            return "a certificate is expired or not yet valid"
        if any(it.critical and it.oid not in _UNDERSTOOD for it in certificate.extensions):
            return "a certificate has a critical extension that is not understood"
        return ""


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _signed_by_key(certificate: x509.Certificate, key: bytes) -> bool:
    """As `_issued`, without a certificate whose name could be compared."""
    public, octets = load_der_public_key(key), certificate.tbs_certificate_bytes
    how = certificate.signature_algorithm_parameters
    try:
        match public:
            case rsa.RSAPublicKey() if isinstance(how, padding.PKCS1v15 | padding.PSS):
                digest = certificate.signature_hash_algorithm
                assert digest is not None, "RSA signs hashes"
                public.verify(certificate.signature, octets, how, digest)
            case ec.EllipticCurvePublicKey() if isinstance(how, ec.ECDSA):
                public.verify(certificate.signature, octets, how)
            case ed25519.Ed25519PublicKey():
                public.verify(certificate.signature, octets)
            case _:
                return False
    except InvalidSignature:
        return False
    return True


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name_fault(certificate: x509.Certificate, names: Collection[str]) -> str:
    """The certificate names one of the names (RFC 7672 §3.2.3); the CN counts without DNS names."""
    alternative = _extension(certificate, x509.SubjectAlternativeName)
    own = alternative.get_values_for_type(x509.DNSName) if alternative is not None else []
    if not own:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        own = [str(it.value) for it in common]
    if any(name_matches(pattern, name) for pattern in own for name in names):
        return ""
    return f"the certificate is for {', '.join(own[:3]) or 'nobody'}, not for {', '.join(names)}"


def name_matches(pattern: str, name: str) -> bool:
    """Whether a name of a certificate, perhaps with ``*.`` for one label, means a host."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern.startswith("*."):
        label, dot, rest = name.partition(".")
        return bool(label and dot and "." in rest) and rest == pattern[2:]
    return pattern == name
