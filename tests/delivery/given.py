"""Works, contents and next hops that the tests of delivery share."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from posthouse.delivery.content import Content
from posthouse.delivery.hop_session import Timeouts
from posthouse.delivery.next_hosts import Host, HostFinder, Hosts, HostVia
from posthouse.mail.address import Mailbox, ReversePath, parse_mailbox
from posthouse.mail.envelope import Envelope, Notify, Recipient
from posthouse.spool.records import RecipientState, Work

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
ANN = Mailbox("ann", "ours.example")
BOB = Mailbox("bob", "theirs.example")
CONTENT = b"From: ann@ours.example\r\nMessage-ID: <1@ours.example>\r\nSubject: hi\r\n\r\n.dot\r\n"
QUICK = Timeouts(
    connect=1, greeting=0.3, hello=0.3, handshake=0.5, sender=0.3, recipient=0.3, data=0.3,
    content_block=0.5, content_end=0.3,
)  # fmt: skip
CALM = Timeouts(*[10.0] * 9)  # where nobody hangs, so that a busy machine changes nothing


def recipient(text: str, *notify: Notify, original: str = "") -> Recipient:
    return Recipient(parse_mailbox(text), frozenset(notify), original)


def envelope(*recipients: Recipient, **more: object) -> Envelope:
    facts = {"reverse_path": ReversePath(ANN), "accepted": NOON, "client": "192.0.2.7"}
    return Envelope(recipients=recipients or (Recipient(BOB),), **{**facts, **more})  # type: ignore[arg-type]


def work(
    *recipients: Recipient, attempts: int = 0, told: bool = False, bounce: str = "", **more: object
) -> Work:
    whole = envelope(*recipients, **more)
    states = tuple(
        RecipientState(index, it.mailbox.domain, "waiting", attempts, NOON, delay_told=told)
        for index, it in enumerate(whole.recipients)
    )
    domain = whole.recipients[0].mailbox.domain
    return Work("0TEST000001", domain, whole, len(CONTENT), states, bounce)


class Kept:
    """Stands for the spool where only contents are asked for."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def content(self, message_id: str) -> Iterator[bytes]:
        for start in range(0, len(self._content), 65536):
            yield self._content[start : start + 65536]


def content(octets: bytes = CONTENT) -> Content:
    return Content(Kept(octets), "0TEST000001", len(octets))


class FixedHosts(HostFinder):
    """Answers every question with the same hosts."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts = hosts
        self.asked = 0

    def remembered(self, via: HostVia, domain: str) -> Hosts | None:
        return None

    async def find(self, via: HostVia, domain: str) -> Hosts:
        self.asked += 1
        return self.hosts


def host(port: int, name: str = "localhost", address: str = "127.0.0.1") -> Host:
    return Host(name, ip_address(address), port)


class Clock:
    """Time that moves when it is told to."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **much: float) -> None:
        self.at += timedelta(**much)


def no_spread(low: float, high: float) -> float:
    return 0.0


SHUFFLE = random.Random(1)
