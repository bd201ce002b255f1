"""A mail transaction that we ask of a server: its commands, and what may stand in its way."""

from typing import Final

from msgspec import Struct

from posthouse.mail.address import ReversePath
from posthouse.mail.envelope import Notify, Recipient
from posthouse.mail.reply import Reply
from posthouse.protocol.smtp.client_events import Extensions
from posthouse.protocol.smtp.timing import DeliverBy

NO_TLS_PROMISED: Final = "5.7.30"
"""Enhanced status code where REQUIRETLS is wanted and not offered (RFC 8689 §4.2.1)."""


class Outgoing(Struct, frozen=True):
    """The part of an envelope that goes to one next hop.

    Attributes:
        reverse_path: Where reports go.
        recipients: At least one.
        octets: Size of the content if known, said as SIZE (RFC 1870).
        body: ``7BIT``, ``8BITMIME`` or ``BINARYMIME``.
        smtputf8: The content needs SMTPUTF8 (RFC 6531 §3.6); addresses are looked at besides.
        envelope_id: ENVID, xtext (RFC 3461).
        return_content: RET: ``FULL``, ``HDRS`` or "".
        requiretls: REQUIRETLS (RFC 8689).
        deliver_by: What is left until the deadline (RFC 2852).
        probe: Only ask whether the recipients would be taken: no content follows.
    """

    reverse_path: ReversePath
    recipients: tuple[Recipient, ...]
    octets: int | None = None
    body: str = "7BIT"
    smtputf8: bool = False
    envelope_id: str = ""
    return_content: str = ""
    requiretls: bool = False
    deliver_by: DeliverBy | None = None
    probe: bool = False

    @property
    def needs_smtputf8(self) -> bool:
        """Whether only a server with SMTPUTF8 can take it."""
        sender = self.reverse_path.mailbox
        if self.smtputf8 or (sender is not None and not sender.local_part.isascii()):
            return True
        for recipient in self.recipients:  # noqa: SIM110 - for each message: no generator is made
            if not recipient.mailbox.local_part.isascii():
                return True
        return False


def obstacle(outgoing: Outgoing, extensions: Extensions) -> Reply | None:
    """Return why a server with these extensions cannot take this, as its reply would be."""
    if not extensions.smtputf8 and outgoing.needs_smtputf8:
        return Reply(550, "5.6.7", "The next hop does not take internationalised mail (SMTPUTF8)")
    if outgoing.body == "BINARYMIME" and not extensions.binarymime:
        return Reply(554, "5.6.3", "The next hop does not take binary content (BINARYMIME)")
    if outgoing.requiretls and not extensions.requiretls:
        return Reply(
            550, NO_TLS_PROMISED, "The next hop does not promise TLS all the way (REQUIRETLS)"
        )
    by, least = outgoing.deliver_by, extensions.deliver_by_seconds_min
    if by is not None and by.returned and least is None:  # RFC 2852 §4: not to be relayed there
        return Reply(554, "5.4.7", "The next hop knows no deadlines (DELIVERBY)")
    if by is not None and by.returned and least is not None and by.seconds < least:
        return Reply(554, "5.4.7", f"The next hop takes no deadline in less than {least} s")
    limit = extensions.size_octets_max
    if limit and outgoing.octets is not None and outgoing.octets > limit:
        return Reply(552, "5.3.4", f"The next hop takes no more than {limit} octets")
    return None


def mail_command(outgoing: Outgoing, extensions: Extensions) -> str:
    """Return MAIL with the parameters that the server knows."""
    words = [f"MAIL FROM:{outgoing.reverse_path}"]
    if outgoing.octets is not None and extensions.size_octets_max is not None:
        words.append(f"SIZE={outgoing.octets}")
    if outgoing.body == "BINARYMIME" or (outgoing.body != "7BIT" and extensions.eightbitmime):
        words.append(f"BODY={outgoing.body}")
    if extensions.smtputf8 and outgoing.needs_smtputf8:
        words.append("SMTPUTF8")
    if outgoing.requiretls:
        words.append("REQUIRETLS")
    if extensions.deliver_by_seconds_min is not None and outgoing.deliver_by is not None:
        words.append(f"BY={outgoing.deliver_by}")
    if extensions.dsn and outgoing.return_content:
        words.append(f"RET={outgoing.return_content}")
    if extensions.dsn and outgoing.envelope_id:
        words.append(f"ENVID={outgoing.envelope_id}")
    return " ".join(words)


def recipient_command(recipient: Recipient, extensions: Extensions) -> str:
    """Return RCPT with the parameters that the server knows."""
    words = [f"RCPT TO:<{recipient.mailbox}>"]
    if extensions.dsn and recipient.notify:
        # In the order of the enum, so that the same recipient gives the same octets.
        words.append("NOTIFY=" + ",".join(it.value for it in Notify if it in recipient.notify))
    if extensions.dsn and recipient.original:
        words.append(f"ORCPT={recipient.original}")
    return " ".join(words)
