"""Situations whose whole explanation is pinned in explanations.txt: what is told, word for word.

``python -m tests.policy.situations > tests/policy/explanations.txt`` writes the page anew; read
the difference before it is committed.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address

from msgspec.structs import replace

from posthouse.mail.address import Mailbox, parse_mailbox
from posthouse.policy.counterfactual import suggestions
from posthouse.policy.decision import Decision
from posthouse.policy.facts import Account, Authorship, Finding, Load, Request, SignIn, Usage
from posthouse.policy.proof import prove
from posthouse.policy.questions import AssumedDirectory, Question, request_of
from posthouse.policy.rules import (
    Budget,
    CheckRule,
    Identity,
    Limits,
    ListenerRule,
    LocalDomain,
    Ownership,
    Passwords,
    Rules,
    Service,
)
from posthouse.policy.transaction import decide_transaction, deciding
from tests.policy.world import (
    ANN,
    BOB,
    DOMAINS,
    HOME,
    LISTENERS,
    NOON,
    POP_WINDOW,
    SIGNED_IN,
    addresses,
    host_name,
    network,
    request,
    rules,
)

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ADATUM, MINE = parse_mailbox("x@adatum.example"), parse_mailbox("ann@proseware.example")
BOBS, CONTOSO = parse_mailbox("bob@proseware.example"), parse_mailbox("c@contoso.example")
CATCHING = Account(
    "office@shop.example",
    frozenset({Mailbox("office", "shop.example")}),
    frozenset({"shop.example"}),
)
MANY_LISTENERS = {
    **LISTENERS,
    "submissions": ListenerRule(
        "submissions", Service.SUBMISSION, ports=(465,), tls_from_start=True
    ),
    "devices": ListenerRule(
        "devices", Service.SUBMISSION, tls_before_sign_in=False, ports=(2525, 2526)
    ),
}
DOMAINS_OF_ALL_KINDS = {
    **DOMAINS,
    "school.example": LocalDomain("school.example", "posthouse.toml:5", relayed=True),
    "shop.example": LocalDomain("shop.example", "posthouse.toml:6", catch_all=True),
}
FULL = rules(
    SIGNED_IN,
    POP_WINDOW,
    network("198.51.100.0/24", until=date(2026, 5, 4), because="ticket 4711"),
    network(
        "192.0.2.0/25",
        name="printers",
        sends_as=addresses("scanner@proseware.example"),
        sends_to=addresses("@archive.example", "z@contoso.example"),
    ),
    network("192.0.2.128/25", name="old hall", until=date(2026, 5, 3)),
    network("10.20.0.0/16", name="devices only", listeners=frozenset({"devices"})),
    network("2001:db8:100::/40", name="v6 customers", sends_as=addresses("@proseware.example")),
    host_name(until=datetime(2026, 6, 1, tzinfo=UTC), because="ADSL"),
    listeners=MANY_LISTENERS,
    local_domains=DOMAINS_OF_ALL_KINDS,
)
SUBMISSION_ONLY = rules(replace(SIGNED_IN, passwords=Passwords.SUBMISSION))
ACCOUNT_ONLY = rules(replace(SIGNED_IN, passwords=Passwords.ACCOUNT, listeners=frozenset({"mx"})))
LIMITED = rules(
    SIGNED_IN,
    network("198.51.100.0/24"),
    limits=Limits(
        message_octets=1_000,
        recipients_per_message=2,
        sessions=10,
        sessions_per_address=3,
        hops=5,
        account_recipients=Budget(5, HOUR),
        account_new_recipients=Budget(3, DAY),
        address_recipients=Budget(4, HOUR),
    ),
)
CHECKED = rules(
    SIGNED_IN,
    checks={
        "spam": CheckRule("spam", found="refuse", where="posthouse.toml:50"),
        "odd": CheckRule("odd", found="hold", no_answer="accept", where="posthouse.toml:51"),
        "marked": CheckRule("marked", found="mark", where="posthouse.toml:52"),
        "budget": CheckRule("budget", ask="recipient-budget", where="posthouse.toml:53"),
    },
)


def identity(reverse: Ownership, author: Ownership, reply: Ownership, **more: bool) -> Rules:
    rule = Identity(reverse, author, reply, where="posthouse.toml:30", **more)
    return rules(SIGNED_IN, network("198.51.100.0/24"), identity=rule)


def signed(sender: str = "ann@proseware.example", who: Account = ANN, **more: object) -> Request:
    return request(sender=sender, signed_in=who, listener="submission", **more)  # type: ignore[arg-type]


def by(authors: tuple[Mailbox, ...] | None, **more: object) -> Authorship:
    return Authorship(authors, **more)  # type: ignore[arg-type]


OWN, DOMAIN, ANY = Ownership.OWN_ADDRESSES, Ownership.OWN_DOMAINS, Ownership.ANYTHING
STRICT, LOOSE = identity(OWN, OWN, OWN), identity(DOMAIN, DOMAIN, DOMAIN)
FREE, HOLDING = identity(ANY, ANY, ANY), identity(OWN, OWN, OWN, hold=True)
WITH_PASSWORD = SignIn(ANN, submission_password=True)

SITUATIONS: dict[str, tuple[Request, Rules]] = {
    "stranger to foreign": (request(), FULL),
    "stranger to foreign on submission": (request(listener="submission"), FULL),
    "stranger to local on submission": (
        request("bob@proseware.example", listener="submission"),
        FULL,
    ),
    "stranger to local": (request("bob@proseware.example", sender="x@contoso.example"), FULL),
    "stranger to nobody": (request("nobody@proseware.example", recipient_exists=False), FULL),
    "stranger to unreadable": (request("bob@proseware.example", recipient_unreadable=True), FULL),
    "stranger to postmaster of this host": (request("PostMaster@mail.proseware.example"), FULL),
    "stranger to somebody of this host": (request("ann@mail.proseware.example"), FULL),
    "route to a passed-on domain": (request("a%b@school.example"), FULL),
    "plain to a passed-on domain": (request("a@school.example"), FULL),
    "route to our own domain": (request("a%b@proseware.example"), FULL),
    "null reverse-path": (request(sender=""), FULL),
    "sender of ours known by account": (request(sender_account=ANN), FULL),
    "foreign sender": (request(sender="x@contoso.example"), FULL),
    "network to foreign": (request(address=HOME), FULL),
    "network as foreign": (request(address=HOME, sender="x@contoso.example"), FULL),
    "network to local": (request("bob@proseware.example", address=HOME), FULL),
    "network as foreign to local": (
        request("bob@proseware.example", address=HOME, sender="x@contoso.example"),
        FULL,
    ),
    "narrow network within": (
        request("z@contoso.example", address="192.0.2.1", sender="scanner@proseware.example"),
        FULL,
    ),
    "narrow network elsewhere": (
        request(address="192.0.2.1", sender="scanner@proseware.example"),
        FULL,
    ),
    "narrow network as another": (request(address="192.0.2.1"), FULL),
    "ended network": (request(address="192.0.2.200"), FULL),
    "network of another listener": (request(address="10.20.3.4"), FULL),
    "network of this listener": (request(address="10.20.3.4", listener="devices"), FULL),
    "IPv6 network": (request(address="2001:db8:100::7", sender="any@proseware.example"), FULL),
    "fetched": (request(fetched=(ANN, 3)), FULL),
    "fetched too long ago": (request(fetched=(ANN, 45)), FULL),
    "fetched by another": (request(fetched=(BOB, 5)), FULL),
    "fetched in the future": (request(fetched=(ANN, -5)), FULL),
    "fetched, null reverse-path": (request(fetched=(ANN, 3), sender=""), FULL),
    "windows unreadable": (request(unreadable=frozenset({"pop-window"})), FULL),
    "name points here": (request(name=("shop.dyn.example", 1)), FULL),
    "name pointed here": (request(name=("shop.dyn.example", 61)), FULL),
    "name unreadable": (request(unreadable=frozenset({"shop.dyn.example"})), FULL),
    "address lost": (
        replace(
            request(address=HOME),
            client=replace(request(address=HOME).client, address_lost="10.1.1.1 brought 12"),
        ),
        FULL,
    ),
    "signed in": (signed(), FULL),
    "signed in on mx": (request(signed_in=ANN), FULL),
    "signed in as another": (signed("bob@proseware.example"), FULL),
    "signed in as a tag": (signed("ann+shop@proseware.example"), FULL),
    "signed in as an alias": (signed("sales@proseware.example"), FULL),
    "signed in with catch-all": (signed("any@shop.example", CATCHING), FULL),
    "signed in with catch-all, taken": (
        signed("any@shop.example", CATCHING, taken=frozenset({Mailbox("any", "shop.example")})),
        FULL,
    ),
    "signed in, null reverse-path": (signed(""), FULL),
    "signed in to local": (replace(signed(), forward_path=BOBS), FULL),
    "account password where a separate one is wanted": (signed(), SUBMISSION_ONLY),
    "separate password": (
        replace(signed(), client=replace(signed().client, signed_in=WITH_PASSWORD)),
        SUBMISSION_ONLY,
    ),
    "separate password where the account's is wanted": (
        replace(request(), client=replace(request().client, signed_in=WITH_PASSWORD)),
        ACCOUNT_ONLY,
    ),
    "stranger where only separate passwords count": (request(), SUBMISSION_ONLY),
    "stranger where one signs in on mx": (request(), ACCOUNT_ONLY),
    "nobody may relay": (request(), rules()),
    "only windows": (request(), rules(replace(POP_WINDOW, listeners=frozenset({"submission"})))),
    "only names": (request(), rules(host_name())),
    "too many recipients": (signed(recipients=(ADATUM, CONTOSO)), LIMITED),
    "one more recipient": (signed(recipients=(ADATUM,)), LIMITED),
    "account budget": (signed(usage=Usage(5, 0, 0)), LIMITED),
    "account budget nearly": (signed(usage=Usage(4, 2, 9)), LIMITED),
    "new recipients budget": (signed(usage=Usage(1, 3, 0)), LIMITED),
    "address budget": (request(address=HOME, usage=Usage(0, 0, 4)), LIMITED),
    "address budget nearly": (request(address=HOME, usage=Usage(9, 9, 3)), LIMITED),
    "budget to local": (replace(signed(usage=Usage(5, 0, 0)), forward_path=BOBS), LIMITED),
    "too big at MAIL": (request(octets=1_001), LIMITED),
    "just not too big": (
        request("bob@proseware.example", octets=1_000, authorship=by((MINE,))),
        LIMITED,
    ),
    "loop": (request("bob@proseware.example", hops=6, authorship=by(None)), LIMITED),
    "no loop": (request("bob@proseware.example", hops=5, authorship=by(None)), LIMITED),
    "stopping": (request(load=Load(shutting_down=True)), LIMITED),
    "full": (request(load=Load(10, 1)), LIMITED),
    "many from one": (request(load=Load(9, 3)), LIMITED),
    "nearly full": (request(load=Load(9, 2)), LIMITED),
    **{
        f"check {name} says {found}": (
            signed(authorship=by((MINE,)), findings=(Finding(name, found, "why"),)),
            CHECKED,
        )
        for name in ("spam", "odd", "marked", "budget", "unknown")
        for found in (True, False, None)
    },
    "held by one check, refused by another": (
        signed(authorship=by((MINE,)), findings=(Finding("odd", True), Finding("spam", True))),
        CHECKED,
    ),
    "held twice": (
        signed(authorship=by((MINE,)), findings=(Finding("odd", True), Finding("budget", True))),
        CHECKED,
    ),
    "over budget where a check looks at it": (signed(usage=Usage(99, 99, 99)), CHECKED),
    **{
        f"{who}, {what}, {rule}": (replace(asked, authorship=authorship), ruled)
        for who, asked in (("account", signed()), ("network", request(address=HOME)))
        for rule, ruled in (
            ("strict", STRICT),
            ("loose", LOOSE),
            ("free", FREE),
            ("holding", HOLDING),
        )
        for what, authorship in (
            ("own From", by((MINE,))),
            ("colleague's From", by((BOBS,))),
            ("foreign From", by((CONTOSO,))),
            ("no From", by(None)),
            ("empty From", by(())),
            ("two From fields", by((MINE,), from_fields=2)),
            ("two authors", by((MINE, MINE))),
            ("two authors and a Sender", by((MINE, MINE), sender=MINE)),
            ("two authors, one foreign, and a Sender", by((MINE, CONTOSO), sender=MINE)),
            ("foreign Sender", by((MINE,), sender=CONTOSO)),
            ("colleague as Sender", by((MINE,), sender=BOBS)),
            ("unreadable Sender", by((MINE,), sender_readable=False)),
            ("foreign Reply-To", by((MINE,), reply_to=(MINE, CONTOSO))),
            ("colleague's Reply-To", by((MINE,), reply_to=(BOBS,))),
            ("unreadable Reply-To", by((MINE,), reply_to_readable=False)),
        )
    },
    "stranger with a foreign From": (
        request("bob@proseware.example", sender="x@contoso.example", authorship=by((BOBS,))),
        STRICT,
    ),
}
PROVED: dict[str, Rules] = {
    "every kind of door": FULL,
    "two halves": rules(SIGNED_IN, network("0.0.0.0/1", "128.0.0.0/1")),
    "all of IPv6": rules(network("::/1", "8000::/1", listeners=frozenset({"submission"}))),
    "everybody as one sender": rules(
        network("0.0.0.0/0", sends_as=addresses("a@proseware.example"))
    ),
    "everybody as a domain": rules(network("0.0.0.0/0", sends_as=addresses("@proseware.example"))),
    "everybody as anybody": rules(network("0.0.0.0/0", sends_as=addresses("*"))),
    "everybody to one": rules(network("0.0.0.0/0", sends_to=addresses("a@archive.example"))),
    "everybody to a domain": rules(network("0.0.0.0/0", sends_to=addresses("@archive.example"))),
    "just not everybody": rules(network("11.0.0.0/8")),
    "just everybody": rules(network("11.0.0.0/8", "12.0.0.0/32")),
    "nothing": rules(local_domains={}),
}
QUESTIONS = {
    "plain": Question(ip_address(HOME), MINE, ADATUM, NOON),
    "all of it": Question(
        ip_address(HOME),
        MINE,
        ADATUM,
        NOON,
        "submission",
        tls=False,
        signed_in=BOBS,
        submission_password=True,
        fetched_ago=HOUR,
        host_name="Shop.Dyn.Example.",
        author=BOBS,
        reply_to=CONTOSO,
        octets=5,
    ),
    "null": Question(ip_address(HOME), None, MINE, NOON),
    "null, signed in": Question(ip_address(HOME), None, MINE, NOON, signed_in=MINE),
    "signed in": Question(ip_address(HOME), MINE, ADATUM, NOON, signed_in=MINE),
    "foreign, fetched": Question(ip_address(HOME), CONTOSO, ADATUM, NOON, fetched_ago=HOUR),
}


def told(decision: Decision) -> Iterator[str]:
    extras = [
        f"{name}={value!r}"
        for name, value in (
            ("allowed", decision.allowed),
            ("minutes_ago", decision.minutes_ago),
            ("field", decision.field),
            ("subject", decision.subject),
            ("recognitions", decision.recognitions),
        )
        if value not in ("", (), None)
    ]
    head = f"{decision.stage.value}: {decision.verdict.value} {decision.reason.value}"
    yield "  ".join([head, *extras])
    for step in decision.trace:
        answer = "yes" if step.answer else "no "
        yield f"    {answer}  {step.question}: {step.because}  {step.where}"


def page() -> str:
    lines: list[str] = []
    for name, (asked, ruled) in SITUATIONS.items():
        lines += ["", f"# {name}"]
        decisions = decide_transaction(asked, ruled)
        beside = decisions[1:-1] if asked.authorship is None else ()
        for decision in (*beside, decisions[-1]):
            lines += told(decision)
        last = deciding(decisions)
        lines.append(f"decided by {last.stage.value}")
        lines += [f"  would help ({it.kind}): {it.text}" for it in suggestions(asked, ruled, last)]
    for name, ruled in PROVED.items():
        shown = prove(ruled, NOON)
        found = f"{shown.questions} questions, {shown.classes} classes"
        lines += ["", f"# proof: {name}", f"closed: {shown.closed}, {found}: {shown.passed_on}"]
        lines += [f"  {it}" for it in (*shown.passages, *shown.witnesses)]
    for name, question in QUESTIONS.items():
        lines += ["", f"# question: {name}"]
        lines.append(repr(request_of(question, FULL, AssumedDirectory(FULL))))
    return "\n".join(line.rstrip() for line in lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
