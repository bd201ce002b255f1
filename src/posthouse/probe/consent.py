"""What may be done to a mail host, and the announcement of exactly that."""

from typing import Final

from msgspec import Struct

from posthouse.probe.doors import USUAL_DOORS, Door
from posthouse.probe.published import autoconfig_pages

# A domain that is reserved and takes no mail (RFC 2606): nobody can be annoyed by RCPT.
STRANGER: Final = "relay-test@example.com"


class Consent(Struct, frozen=True, kw_only=True):
    """How far to go. The defaults look at ports and leave.

    Attributes:
        host: Name or address of the mail host, or a domain.
        doors: Ports to try at `host`.
        published: Ask DNS for SRV and MX, and visit the hosts named there too.
        autoconfig: Ask the domain's web server for its settings.
        directory: Address of a directory of settings to ask as well, such as the ISPDB.
        relay: Say MAIL and RCPT for a recipient elsewhere, then RSET.
        recipient: That recipient.
        user: Name to sign in with; "" = do not.
        password: Never part of a record, a report or a representation.
        senders: Addresses to try in MAIL once signed in.
        untrusted: Say the password even where encryption or trust is missing.
    """

    host: str
    doors: tuple[Door, ...] = USUAL_DOORS
    published: bool = True
    autoconfig: bool = False
    directory: str = ""
    relay: bool = False
    recipient: str = STRANGER
    user: str = ""
    password: str = ""
    senders: tuple[str, ...] = ()
    untrusted: bool = False

    def __repr__(self) -> str:
        return f"Consent(host={self.host!r}, user={self.user!r})"

    @property
    def sender(self) -> str:
        """The sender for MAIL before anybody signed in."""
        return self.user if "@" in self.user else f"postmaster@{self.host}"


class Announcement(Struct, frozen=True):
    """One sentence of the announcement: key of the doctor's words and what goes into it."""

    key: str
    fields: dict[str, str]


def announce(consent: Consent) -> tuple[Announcement, ...]:
    """Say what will be done, before it is done. Nothing is done that is not said here."""
    ports = ", ".join(str(door.port) for door in consent.doors)
    said = []
    if consent.published:
        said.append(Announcement("probe-plan-dns", {"host": consent.host}))
    if consent.autoconfig or consent.directory:
        pages = autoconfig_pages(consent.host, consent.directory)
        asked = [url for source, url in pages if consent.autoconfig or source == "directory"]
        said.append(Announcement("probe-plan-pages", {"pages": ", ".join(asked)}))
    said.append(Announcement("probe-plan-ports", {"host": consent.host, "ports": ports}))
    if consent.published or consent.autoconfig or consent.directory:
        said.append(Announcement("probe-plan-others", {}))
    if consent.relay:
        said.append(Announcement("probe-plan-relay", {"recipient": consent.recipient}))
    if consent.user:
        key = "probe-plan-untrusted" if consent.untrusted else "probe-plan-sign-in"
        said.append(Announcement(key, {"user": consent.user}))
    if consent.user and consent.relay:
        said.append(Announcement("probe-plan-pop-first", {}))
    if consent.user and consent.senders:
        said.append(Announcement("probe-plan-senders", {"senders": ", ".join(consent.senders)}))
    said.append(Announcement("probe-plan-nothing", {}))
    return tuple(said)
