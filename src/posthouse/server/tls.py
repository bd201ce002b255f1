"""Certificates: the configured one, or one made here, kept in the storage and renewed in time.

A certificate made here encrypts but proves nothing: `posthouse check` says so. Keys are ECDSA
P-256, because a handshake then costs a tenth of what RSA takes.
"""

import ssl
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from posthouse.wire.tls import CertifiedContext

LIFE: Final = timedelta(days=397)  # longer ones are refused by some mail programs
RENEW_BEFORE_END: Final = timedelta(days=30)


class CertificateError(Exception):
    """A certificate or key cannot be used; the message says which file and the way out."""


class Certificates:
    """The TLS context of all listeners; a new handshake takes `context` as it is at that moment."""

    def __init__(
        self,
        certificate: Path,
        key: Path,
        authorities: Path | None = None,
        *,
        at_first: tuple[Path, ...] = (),
    ) -> None:
        """Read the files, or for once others of the same contents (`at_first`)."""
        self._files = (certificate, key) if authorities is None else (certificate, key, authorities)
        self._seen = self._marks()
        self.context = server_context(*(at_first or self._files))

    @property
    def files(self) -> tuple[Path, ...]:
        """Certificate, key, and who vouches for clients."""
        return self._files

    def reload(self) -> None:
        """Read the files again; running sessions keep what they have.

        Raises:
            CertificateError: If the files cannot be used; the old certificate stays.
        """
        marks = self._marks()
        self.context = server_context(*self._files)
        self._seen = marks

    def reload_if_changed(self) -> bool:
        """Reload where a file is another than the last time; False where nothing changed.

        Raises:
            CertificateError: As `reload`; the same change is then not tried twice.
        """
        marks = self._marks()
        if marks == self._seen:
            return False
        self._seen = marks
        self.context = server_context(*self._files)
        return True

    def _marks(self) -> tuple[tuple[int, int], ...]:
        return tuple(_mark(path) for path in self._files)


def _mark(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)


def server_context(
    certificate: Path, key: Path, authorities: Path | None = None
) -> CertifiedContext:
    """Return a context for TLS 1.2 and 1.3 (RFC 8314 §4, RFC 9325 §3.1.1).

    Args:
        certificate: Ours.
        key: Its key.
        authorities: Who vouches for certificates of clients; with them `asking` is there too.

    Raises:
        CertificateError: If a file is missing, unreadable, not PEM, or key and certificate differ.
    """
    for path, what in ((certificate, "certificate"), (key, "key")):
        _readable(path, what)
    context = CertifiedContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as problem:
        raise CertificateError(_plainly(problem, certificate, key)) from None
    context.end_point = end_point_of(certificate.read_bytes())
    if authorities is not None:
        context.asking = _asking(server_context(certificate, key), authorities)
    return context


def _asking(context: CertifiedContext, authorities: Path) -> CertifiedContext:
    """Let a context ask clients for a certificate; they need not have one."""
    _readable(authorities, "client_authorities file")
    context.verify_mode = ssl.CERT_OPTIONAL
    # A certificate that is listed itself is trusted without whoever signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(authorities)
    except ssl.SSLError:
        raise CertificateError(f"the file {authorities} holds no certificates in PEM") from None
    return context


def end_point_of(pem: bytes) -> bytes:
    """Return the hash that SCRAM binds a sign-in to (tls-server-end-point, RFC 5929 §4.1).

    Args:
        pem: Our certificate, the chain after it.

    Returns:
        By the hash of the certificate's own signature, SHA-256 for MD5 and SHA-1; empty for a
        signature without one, such as Ed25519.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        by = certificate.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return b""
    if by is None:
        return b""
    return certificate.fingerprint(
        hashes.SHA256() if isinstance(by, hashes.MD5 | hashes.SHA1) else by
    )


def _no_password() -> str:
    raise CertificateError("the TLS key is protected by a password: store it without one")


def _readable(path: Path, what: str) -> None:
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise CertificateError(f"the TLS {what} {path} does not exist") from None
    except OSError as problem:
        reason = (problem.strerror or "").lower()
        raise CertificateError(f"the TLS {what} {path} cannot be read: {reason}") from None


def _plainly(problem: ssl.SSLError, certificate: Path, key: Path) -> str:
    if problem.reason == "KEY_VALUES_MISMATCH":
        return f"the TLS key {key} does not belong to the certificate {certificate}"
    return (
        f"the TLS certificate {certificate} or its key {key} is not readable PEM"
        f" ({problem.reason or problem})"
    )


def own_certificate(directory: Path, hostname: str, now: datetime) -> tuple[Path, Path]:
    """Return the files of the certificate made here, making or renewing it where needed.

    Args:
        directory: Where it is kept; made if missing.
        hostname: The name in it.
        now: It is renewed 30 days before its end.

    Raises:
        OSError: If the directory cannot be written.
    """
    certificate, key = directory / "own-certificate.pem", directory / "own-key.pem"
    if not (key.exists() and _still_good(certificate, hostname, now)):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(certificate, key, hostname, now)
    return certificate, key


def _still_good(path: Path, hostname: str, now: datetime) -> bool:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    in_time = found.not_valid_before_utc <= now < found.not_valid_after_utc - RENEW_BEFORE_END
    return in_time and hostname in names.value.get_values_for_type(x509.DNSName)


def _make(certificate: Path, key: Path, hostname: str, now: datetime) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    alternative = x509.SubjectAlternativeName([x509.DNSName(hostname)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks of mail programs run late
        .not_valid_after(now + LIFE)
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    _replace(
        key,
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        mode=0o600,
    )
    _replace(certificate, made.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _replace(path: Path, octets: bytes, *, mode: int) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=mode)
    fresh.write_bytes(octets)
    fresh.replace(path)
