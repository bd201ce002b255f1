"""What must be true of the TLS with a host, and what can be wrong with it."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from posthouse.delivery.mta_sts import Policy
from posthouse.dns.answers import TlsaRecord


class Trouble(StrEnum):
    """What is wrong, in the words of reports (RFC 8460 §4.3)."""

    NO_STARTTLS = "starttls-not-supported"
    HOST_MISMATCH = "certificate-host-mismatch"
    EXPIRED = "certificate-expired"
    NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    STS_FETCH = "sts-policy-fetch-error"
    STS_POLICY = "sts-policy-invalid"
    STS_WEB_PKI = "sts-webpki-invalid"


class Basis(StrEnum):
    """By whose word a host must be protected."""

    ROUTE = "route"  # ours alone
    DANE = "DANE"  # TLSA records: the certificate must match
    DANE_UNUSABLE = "DANE without usable records"  # TLS is a must, whatever the certificate
    STS = "MTA-STS"  # a policy to enforce
    STS_TESTING = "MTA-STS in testing"  # a policy to report about
    REQUIRETLS = "REQUIRETLS"  # the sender: a verified certificate is a must


class Assurance(Struct, frozen=True):
    """What a session with one host must fulfil besides what the route wants.

    Attributes:
        basis: Why.
        records: What the certificate must match, for DANE.
        names: Names that count below an authority, for DANE; the first one is asked for (SNI).
        policy: For MTA-STS.
        fault: Why the host may not be used at all (or, in testing, should not); "".
        trouble: The same for reports.
        final: More attempts cannot help.
    """

    basis: Basis = Basis.ROUTE
    records: tuple[TlsaRecord, ...] = ()
    names: tuple[str, ...] = ()
    policy: Policy | None = None
    fault: str = ""
    trouble: Trouble | None = None
    final: bool = False

    @property
    def bars(self) -> bool:
        """Whether the host may not be used."""
        return bool(self.fault) and self.basis is not Basis.STS_TESTING

    @property
    def wants(self) -> str:
        """Who demands TLS, in words."""
        match self.basis:
            case Basis.DANE | Basis.DANE_UNUSABLE:
                return "the domain's DNS (DANE)"
            case Basis.STS | Basis.STS_TESTING:
                return "the domain's policy (MTA-STS)"
            case Basis.REQUIRETLS:
                return "the sender (REQUIRETLS)"
            case _:
                return "the route"


OURS: Final = Assurance()
"""Nothing is wanted but what the route wants."""


def of_certificate(code: int) -> Trouble:
    """Name why a certificate was not accepted, by OpenSSL's reason (X509_V_ERR)."""
    match code:
        case 9 | 10:
            return Trouble.EXPIRED
        case 62:
            return Trouble.HOST_MISMATCH
        case 2 | 18 | 19 | 20 | 21 | 27:
            return Trouble.NOT_TRUSTED
        case _:
            return Trouble.VALIDATION
