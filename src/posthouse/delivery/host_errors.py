"""Why a host could not be given mail."""

from enum import Enum

from posthouse.delivery.tls_terms import Trouble, of_certificate
from posthouse.mail.reply import Reply
from posthouse.protocol.smtp.client_events import ClientEvent


class Fault(Enum):
    """What kind of trouble a host made before it could be given mail."""

    HOST = "host"  # this host: another may do
    CONNECTING = "connecting"  # none of its addresses could be connected to
    TLS = "tls"  # only encryption failed: without it, it may do
    LOOP = "loop"  # the host is ourselves


class HostError(Exception):
    """The host cannot be given mail now.

    Attributes:
        status: Enhanced status code, 4.x.x.
        fault: What kind of trouble.
        busy: It speaks, and wants to be left alone for a while (a 4xx reply).
        trouble: What is wrong with its TLS, for reports; None where that is not the trouble.
    """

    def __init__(
        self,
        status: str,
        words: str,
        fault: Fault = Fault.HOST,
        *,
        busy: bool = False,
        trouble: Trouble | None = None,
    ) -> None:
        super().__init__(words)
        self.status = status
        self.fault = fault
        self.busy = busy
        self.trouble = trouble


def tls_failed(words: str, certificate_code: int = 0) -> HostError:
    """Return the error of a failed handshake; `certificate_code` as in `TlsError`."""
    if certificate_code:
        trouble = of_certificate(certificate_code)
        return HostError("4.7.5", words, Fault.TLS, trouble=trouble)
    return HostError("4.7.10", words, Fault.TLS, trouble=Trouble.VALIDATION)


def refused(
    event: ClientEvent,
    status: str,
    what: str,
    fault: Fault = Fault.HOST,
    trouble: Trouble | None = None,
) -> HostError:
    """Return the error of an answer that is not the one hoped for."""
    reply = getattr(event, "reply", None)
    if isinstance(reply, Reply):
        busy = reply.code // 100 == 4
        words = f"{what} was refused: {reply}"
        return HostError(status, words, fault, busy=busy, trouble=trouble)
    words = f"the host closed the connection instead of answering {what}"
    return HostError("4.4.2", words, fault, trouble=trouble)
