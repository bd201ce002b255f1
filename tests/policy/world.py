"""A small world for policy tests: an ISP, its people, and the moment at which they write."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from posthouse.mail.address import Mailbox, ReversePath, parse_mailbox
from posthouse.policy.decision import Decision
from posthouse.policy.facts import (
    Account,
    Authorship,
    Client,
    PopSession,
    Request,
    SignIn,
    WatchedName,
)
from posthouse.policy.networks import NetworkTable, parse_networks
from posthouse.policy.relaying import decide_mail, decide_recipient
from posthouse.policy.rules import (
    AddressSet,
    Door,
    DoorKind,
    Identity,
    ListenerRule,
    LocalDomain,
    Rules,
    Service,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOME = "198.51.100.7"
HOTEL = "203.0.113.9"
ANN = Account(
    "ann@proseware.example",
    frozenset({Mailbox("ann", "proseware.example"), Mailbox("sales", "proseware.example")}),
)
BOB = Account("bob@proseware.example", frozenset({Mailbox("bob", "proseware.example")}))

LISTENERS = {
    "mx": ListenerRule("mx", Service.SMTP, ports=(25,)),
    "submission": ListenerRule("submission", Service.SUBMISSION, ports=(587,)),
}
DOMAINS = {"proseware.example": LocalDomain("proseware.example", where="posthouse.toml:3")}

SIGNED_IN = Door(DoorKind.SIGNED_IN, "signed-in", where="posthouse.toml:10")
POP_WINDOW = Door(DoorKind.POP_WINDOW, "pop-window", where="posthouse.toml:13")


STRICT = Identity()


def network(*texts: str, name: str = "access customers", **more: Any) -> Door:
    return Door(DoorKind.NETWORK, name, where="posthouse.toml:17", networks=texts, **more)


def host_name(host: str = "shop.dyn.example", **more: Any) -> Door:
    return Door(
        DoorKind.HOST_NAME, host, where="posthouse.toml:21", hosts=frozenset({host}), **more
    )


def rules(*doors: Door, identity: Identity = STRICT, **more: Any) -> Rules:
    table = NetworkTable(
        (net, number)
        for number, door in enumerate(doors)
        for text in door.networks
        for net in parse_networks(text)
    )
    values: dict[str, object] = {"listeners": LISTENERS, "local_domains": DOMAINS, **more}
    return Rules("mail.proseware.example", doors=doors, networks=table, identity=identity, **values)  # type: ignore[arg-type]  # the rest of Rules' fields


def request(
    to: str = "bob@adatum.example",
    *,
    sender: str = "ann@proseware.example",
    address: str = HOTEL,
    listener: str = "mx",
    signed_in: Account | None = None,
    fetched: tuple[Account, int] | None = None,
    name: tuple[str, int] | None = None,
    unreadable: frozenset[str] = frozenset(),
    authorship: Authorship | None = None,
    at: datetime = NOON,
    **more: Any,
) -> Request:
    """Ask about one recipient; `fetched` and `name` say how many minutes ago."""
    client = Client(
        ip_address(address),
        listener,
        signed_in=SignIn(signed_in) if signed_in else None,
        pop_sessions=(PopSession(fetched[0], at - timedelta(minutes=fetched[1])),)
        if fetched
        else (),
        watched_names=(WatchedName(name[0], at - timedelta(minutes=name[1])),) if name else (),
        unreadable=unreadable,
    )
    path = ReversePath(parse_mailbox(sender) if sender else None)
    return Request(
        at,
        client,
        path,
        parse_mailbox(to),
        authorship=authorship,
        **more,
    )


def addresses(*texts: str) -> AddressSet:
    mailboxes = frozenset(parse_mailbox(text).folded for text in texts if text[0] not in "@*")
    domains = frozenset(text[1:] for text in texts if text[0] == "@")
    return AddressSet(mailboxes, domains, everything="*" in texts)


def mail(asked: Request, by: Rules) -> tuple[str, str]:
    return told(decide_mail(asked, by))


def recipient(asked: Request, by: Rules) -> tuple[str, str]:
    return told(decide_recipient(asked, by))


def told(decision: Decision) -> tuple[str, str]:
    return decision.verdict.value, decision.reason.value
