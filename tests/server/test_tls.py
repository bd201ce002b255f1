import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from posthouse.server.tls import CertificateError, Certificates, own_certificate, server_context

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def test_a_certificate_of_our_own_is_made_once_and_kept(tmp_path: Path) -> None:
    certificate, key = own_certificate(tmp_path / "tls", "mail.example.com", NOON)
    first = certificate.read_bytes()
    assert key.stat().st_mode & 0o077 == 0
    own_certificate(tmp_path / "tls", "mail.example.com", NOON + timedelta(days=300))
    assert certificate.read_bytes() == first
    assert isinstance(server_context(certificate, key), ssl.SSLContext)


@pytest.mark.parametrize(
    ("hostname", "days"), [("mail.example.com", 380), ("other.example.com", 1)]
)
def test_it_is_renewed_before_its_end_and_for_another_name(
    tmp_path: Path, hostname: str, days: int
) -> None:
    certificate, _ = own_certificate(tmp_path, "mail.example.com", NOON)
    first = certificate.read_bytes()
    own_certificate(tmp_path, hostname, NOON + timedelta(days=days))
    assert certificate.read_bytes() != first
    x509.load_pem_x509_certificate(certificate.read_bytes())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"certificate .*nothing.pem does not exist"):
        server_context(tmp_path / "nothing.pem", tmp_path / "nothing.key")


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    certificate, key = own_certificate(tmp_path, "mail.example.com", NOON)
    certificate.write_text("hello")
    with pytest.raises(CertificateError, match="not readable PEM"):
        server_context(certificate, key)


def test_a_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    one, _ = own_certificate(tmp_path / "a", "mail.example.com", NOON)
    _, other = own_certificate(tmp_path / "b", "mail.example.com", NOON)
    with pytest.raises(CertificateError, match="does not belong to"):
        server_context(one, other)


def test_changed_files_are_taken_and_broken_ones_change_nothing(tmp_path: Path) -> None:
    certificate, key = own_certificate(tmp_path, "mail.example.com", NOON)
    certificates = Certificates(certificate, key)
    before = certificates.context
    assert certificates.reload_if_changed() is False
    own_certificate(tmp_path, "other.example.com", NOON)
    assert certificates.reload_if_changed() is True
    after = certificates.context
    assert after is not before
    certificate.write_text("broken")
    with pytest.raises(CertificateError):
        certificates.reload_if_changed()
    assert certificates.context is after
    assert certificates.reload_if_changed() is False
