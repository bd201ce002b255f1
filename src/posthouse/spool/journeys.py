"""The words in which the steps of a message's way are kept."""

from typing import Final

from posthouse.mail.envelope import Envelope
from posthouse.spool.records import Result

REPLY_SIGNS_MAX: Final = 1000  # kept of a next hop's words
NAMED_MAX: Final = 10  # recipients that are named


def accepted_text(envelope: Envelope, octets: int) -> str:
    """Say that a message was accepted."""
    return f"accepted, {octets} octets, from {envelope.reverse_path} for " + ", ".join(
        f"<{it.mailbox}>" + (f" (case {it.case})" if it.case else "")
        for it in envelope.recipients[:NAMED_MAX]
    )


def ended_text(address: str, ending: str, result: Result) -> str:
    """Say how an attempt ended for a recipient."""
    reply = result.reply[:REPLY_SIGNS_MAX]
    who = ", ".join(it for it in (result.host, result.tls) if it)
    said = ": ".join(it for it in (who, reply) if it)
    return f"<{address}>: {ending}" + (f" ({said})" if said else "")
