"""What a submission server may mend in a message: missing Date and Message-ID (RFC 6409 §8).

Nothing that is there is altered or taken out, Bcc fields included: only the mail program knows
whether they were meant to be seen.
"""

from datetime import datetime

from posthouse.mail.message import HeaderSection, date_field, message_id_field


def missing_fields(header: HeaderSection, *, at: datetime, message_id: str, hostname: str) -> bytes:
    """Return the fields to put before the content, each ended by CRLF; empty where all is there.

    Args:
        header: Of the message as handed in.
        at: When it was handed in (§8.2).
        message_id: Our id of the message, used in the Message-ID (§8.3).
        hostname: Our own name.
    """
    fields = b""
    if not header.has("Message-ID"):
        fields += message_id_field(message_id, hostname)
    if not header.has("Date"):
        fields += date_field(at)
    return fields
