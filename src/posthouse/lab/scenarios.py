"""What happens to people away from home, and what helps: played with real clients.

Each scene sends one mail and then looks into the mailboxes: what was accepted must arrive, what
was refused must not.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from posthouse.lab import internet as places
from posthouse.lab.clients import GTUBE, Account, Mail, Sent, fetch, send
from posthouse.lab.hosts import Host, wait_for
from posthouse.lab.internet import BOB, SOMEONE, TERRI, TERRI_AT_WORK, WINDOW_SECONDS, Internet

ARRIVES_SECONDS: Final = 20.0
DELIVERED, REFUSED, HELD = "delivered", "refused", "held"


class Result(Struct, frozen=True):
    """One row of the table.

    Attributes:
        where: Where the person is.
        server: The outgoing server in the mail program.
        to: Whose domain the recipient is in.
        relay: Whether that is relaying.
        remedy: What was changed, if anything.
        expected: ``delivered``, ``refused`` or ``held``.
        got: What happened.
        reply: What the server said.
        passed: Whether that is what it should be.
    """

    where: str
    server: str
    to: str
    relay: bool
    remedy: str
    expected: str
    got: str
    reply: str
    passed: bool


class Scene(Struct, frozen=True):
    """One mail to be sent, and what should become of it."""

    where: str
    place: str
    server: str
    sender: Account
    recipient: Account
    relay: bool
    expected: str
    says: str = ""
    remedy: str = ""
    sign_in: Account | None = None
    before: Callable[[], object] = lambda: None
    reply_to: str = ""
    text: str = "Hello from the lab."


class Stage:
    """Plays scenes on an Internet."""

    def __init__(self, internet: Internet) -> None:
        self._internet = internet
        self._numbers = itertools.count(1)

    def play(self, scene: Scene) -> Result:
        """Send the mail of a scene and see what becomes of it."""
        scene.before()
        server = self._host(scene.server)
        token = f"lab {next(self._numbers)} {time.monotonic_ns()}"
        mail = Mail(scene.sender.name, scene.recipient.name, token, scene.reply_to, scene.text)
        listener = "submission" if scene.sign_in else "mx"
        sent = send(
            mail, server=server.listeners[listener], place=scene.place, sign_in=scene.sign_in
        )
        got = self._what_became_of(mail, sent, scene, server)
        return Result(
            scene.where,
            scene.server,
            scene.recipient.name.partition("@")[2],
            scene.relay,
            scene.remedy,
            scene.expected,
            got,
            f"{sent.code} {sent.reply}",
            passed=got == scene.expected and scene.says in f"{sent.code} {sent.reply}",
        )

    def _what_became_of(self, mail: Mail, sent: Sent, scene: Scene, server: Host) -> str:
        if not sent.accepted:
            return "refused, yet it arrived" if self._arrived(mail, scene.recipient, 0) else REFUSED
        if scene.expected == HELD:
            sender = scene.sender.name
            listed = wait_for(lambda: [it for it in server.held() if sender in _text(it)], 5)
            arrived = self._arrived(mail, scene.recipient, 1)
            return HELD if listed and not arrived else "vanished"
        arrived = self._arrived(mail, scene.recipient, ARRIVES_SECONDS)
        return DELIVERED if arrived else "accepted, but it did not arrive"

    def _arrived(self, mail: Mail, recipient: Account, seconds: float) -> bool:
        domain = recipient.name.partition("@")[2]
        server = self._host(domain).listeners["pop3"]

        def look() -> bool:
            messages = fetch(recipient, server=server, place=places.ELSEWHERE)
            return any(f"Subject: {mail.token}" in message for message in messages)

        return wait_for(look, seconds)

    def _host(self, domain: str) -> Host:
        return {
            "proseware.example": self._internet.home,
            "thephone-company.example": self._internet.work,
            "adatum.example": self._internet.outside,
        }[domain]


def _text(message: dict[str, object]) -> str:
    """The reverse-path of a listed message, as text that can be searched."""
    envelope = message["envelope"]
    assert isinstance(envelope, dict)
    mailbox = envelope["reverse_path"]["mailbox"]
    return f"{mailbox['local_part']}@{mailbox['domain']}" if mailbox else "<>"


def situations() -> Iterator[Scene]:
    """The six situations: home, work and hotel; own domain and another."""
    home = "proseware.example"
    for where, place in (
        ("at home", places.AT_HOME),
        ("at work", places.AT_WORK),
        ("in a hotel", places.IN_HOTEL),
    ):
        yield Scene(where, place, home, TERRI, BOB, relay=False, expected=DELIVERED)
        known = place == places.AT_HOME
        yield Scene(
            where,
            place,
            home,
            TERRI,
            SOMEONE,
            relay=True,
            expected=DELIVERED if known else REFUSED,
            says="" if known else "[not-recognised]",
        )


def remedies(internet: Internet) -> Iterator[Scene]:
    """What turns the refusals into deliveries, and where each remedy ends."""
    hotel = Scene(
        "in a hotel",
        places.IN_HOTEL,
        "proseware.example",
        TERRI,
        SOMEONE,
        relay=True,
        expected=DELIVERED,
    )
    yield _changed(hotel, remedy="sign in", sign_in=TERRI)
    yield _changed(hotel, remedy="fetch mail first", before=lambda: _fetch_in_hotel(internet))
    yield _changed(
        hotel,
        remedy="... and the window has ended",
        before=lambda: time.sleep(WINDOW_SECONDS + 0.5),
        expected=REFUSED,
        says="fetch mail",
    )
    yield from _listed(internet, hotel)
    yield _changed(
        hotel,
        where="at work",
        place=places.AT_WORK,
        server="thephone-company.example",
        remedy="use the work server",
    )
    yield _changed(
        hotel,
        where="at work",
        place=places.AT_WORK,
        server="thephone-company.example",
        sender=TERRI_AT_WORK,
        remedy="own-domains: a reply address of another domain",
        before=internet.forbid_foreign_replies,
        reply_to="terri@contoso.example",
        expected=REFUSED,
        says="@thephone-company.example",
    )
    yield _changed(hotel, remedy="what looks like spam", sign_in=TERRI, text=GTUBE, expected=HELD)


def _listed(internet: Internet, hotel: Scene) -> Iterator[Scene]:
    """What an administrator can do: list the address, the range, the dynamic host name."""
    yield _changed(
        hotel,
        place=places.IN_HOTEL_LISTED,
        remedy="the administrator lists the address",
        before=lambda: internet.home.grant(places.IN_HOTEL_LISTED),
    )
    yield _changed(
        hotel,
        place=places.IN_HOTEL_RANGE,
        remedy="the administrator lists the range",
        before=lambda: internet.home.grant("127.50.2.20-127.50.2.29"),
    )
    yield _changed(
        hotel,
        place=places.IN_HOTEL_DYNAMIC,
        remedy="the dynamic host name points here",
        before=lambda: _move_name(internet, places.IN_HOTEL_DYNAMIC),
    )
    yield _changed(
        hotel,
        place=places.IN_HOTEL_DYNAMIC,
        remedy="... and points elsewhere again",
        before=lambda: _move_name(internet),
        expected=REFUSED,
        says="550",
    )


def _changed(scene: Scene, **changes: object) -> Scene:
    return replace(scene, **changes)


def _fetch_in_hotel(internet: Internet) -> None:
    fetch(TERRI, server=internet.home.listeners["pop3"], place=places.IN_HOTEL)


def _move_name(internet: Internet, *addresses: str) -> None:
    """Change the name, then wait until the server must have looked (refresh 1 s, linger 2 s)."""
    internet.point_dynamic_name(*addresses)
    time.sleep(2.5 if addresses else 5)


def play_all(internet: Internet, told: Callable[[Result], None]) -> list[Result]:
    """Play every scene; `told` gets each result as it comes."""
    stage = Stage(internet)
    results = []
    for scene in itertools.chain(situations(), remedies(internet)):
        result = stage.play(scene)
        told(result)
        results.append(result)
    return results
