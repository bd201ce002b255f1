"""What a client's certificate says, once the TLS library or a proxy of ours has verified it."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from posthouse.policy.facts import ClientCertificate
from posthouse.wire.stream import StreamProtocol


def certificate_of(stream: StreamProtocol) -> ClientCertificate | None:
    """Return the certificate of the client at the other end; None if it showed none."""
    told = stream.proxied.tls if stream.proxied is not None else None
    if stream.tls is None or not stream.tls.handshake_done:
        if told is None or not told.certificate_verified:
            return None
        return ClientCertificate(frozenset({told.common_name.lower()} - {""}))
    shown = stream.tls.peer_certificate
    return None if shown is None else read_certificate(shown)


def read_certificate(der: bytes) -> ClientCertificate | None:
    """Return names and fingerprint; None for what cannot be read.

    Names are the alternative ones; the common name counts only where there are none (RFC 6125
    section 6.4.4).
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = _names(certificate)
    except ValueError:
        return None
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    return ClientCertificate(frozenset(it.lower() for it in names if it.isprintable()), fingerprint)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return [str(it.value) for it in common]
    alternative = extension.value
    return [
        *alternative.get_values_for_type(x509.DNSName),
        *alternative.get_values_for_type(x509.RFC822Name),
    ]
