"""Mail programs of the lab: Python's own smtplib and poplib, each from a place of its own."""

import email.utils
import poplib
import smtplib
import socket
import ssl
from email.message import EmailMessage
from typing import Final

from msgspec import Struct

WAIT_SECONDS: Final = 15.0
GTUBE: Final = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


class Sent(Struct, frozen=True):
    """What the server said to one mail.

    Attributes:
        accepted: It took responsibility.
        code: Of the deciding reply.
        reply: Its text.
    """

    accepted: bool
    code: int
    reply: str


class Mail(Struct, frozen=True):
    """What a person writes.

    Attributes:
        sender: Reverse-path and From.
        recipient: One recipient.
        token: Unique words in the subject, by which the mail is found again.
        reply_to: Where answers shall go; "" for the sender.
        text: The body.
    """

    sender: str
    recipient: str
    token: str
    reply_to: str = ""
    text: str = "Hello from the lab."

    def message(self) -> EmailMessage:
        """Return the message."""
        message = EmailMessage()
        message["From"] = self.sender
        message["To"] = self.recipient
        message["Subject"] = self.token
        message["Message-ID"] = email.utils.make_msgid(domain="lab.invalid")
        if self.reply_to:
            message["Reply-To"] = self.reply_to
        message.set_content(self.text)
        return message


class Account(Struct, frozen=True):
    """A name to sign in with, and its password."""

    name: str
    password: str


def trusting_context() -> ssl.SSLContext:
    """Return a context that takes the self-made certificates of the lab."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def send(
    mail: Mail, *, server: tuple[str, int], place: str, sign_in: Account | None = None
) -> Sent:
    """Hand in a mail from the address `place`; STARTTLS and AUTH when signing in."""
    try:
        with smtplib.SMTP(
            *server, local_hostname="laptop.lab", timeout=WAIT_SECONDS, source_address=(place, 0)
        ) as smtp:
            if sign_in is not None:
                smtp.starttls(context=trusting_context())
                smtp.login(sign_in.name, sign_in.password)
            smtp.send_message(mail.message(), mail.sender, [mail.recipient])
            return Sent(accepted=True, code=250, reply="accepted")
    except smtplib.SMTPRecipientsRefused as refused:
        return _refused(*refused.recipients[mail.recipient])
    except smtplib.SMTPResponseException as refused:
        return _refused(refused.smtp_code, refused.smtp_error)


def _refused(code: int, reply: bytes | str) -> Sent:
    text = reply.decode("ascii", "replace") if isinstance(reply, bytes) else reply
    first, *further = text.split("\n")
    status = first.partition(" ")[0]  # every line of a reply repeats it
    lines = [first, *(line.removeprefix(status).lstrip() for line in further)]
    return Sent(accepted=False, code=code, reply=" ".join(lines))


class _PlacedPop3(poplib.POP3):
    """poplib that comes from a given address."""

    def __init__(self, server: tuple[str, int], place: str) -> None:
        self._place = place
        super().__init__(*server, timeout=WAIT_SECONDS)

    def _create_socket(self, timeout: float) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout, (self._place, 0))


def fetch(account: Account, *, server: tuple[str, int], place: str) -> list[str]:
    """Fetch and keep all mail from the address `place`; return the messages as text."""
    pop3 = _PlacedPop3(server, place)
    try:
        pop3.stls(trusting_context())
        pop3.user(account.name)
        pop3.pass_(account.password)
        count, _ = pop3.stat()
        return [
            b"\n".join(pop3.retr(number)[1]).decode("utf-8", "replace")
            for number in range(1, count + 1)
        ]
    finally:
        pop3.quit()
