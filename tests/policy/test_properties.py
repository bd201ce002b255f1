"""What is always true, whatever the rules and the request."""

from datetime import timedelta
from ipaddress import IPv4Address, ip_network

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from posthouse.mail.address import parse_mailbox
from posthouse.policy.content import decide_content
from posthouse.policy.counterfactual import suggestions
from posthouse.policy.decision import Verdict
from posthouse.policy.facts import Account, Authorship, Request
from posthouse.policy.recognition import is_over, lasting
from posthouse.policy.relaying import decide_mail, decide_recipient
from posthouse.policy.rules import Door, Identity, Ownership, Rules
from posthouse.policy.transaction import decide_transaction
from tests.policy.world import (
    ANN,
    BOB,
    NOON,
    POP_WINDOW,
    SIGNED_IN,
    addresses,
    host_name,
    network,
    request,
    rules,
)

addresses_v4 = st.integers(0, 2**32 - 1).map(lambda n: str(IPv4Address(n)))
near = st.sampled_from(["198.51.100.7", "198.51.100.200", "203.0.113.9"])
listeners = st.sampled_from([frozenset[str](), frozenset({"mx"}), frozenset({"submission"})])
senders = st.sampled_from(
    ["ann@proseware.example", "bob@proseware.example", "x@contoso.example", ""]
)
recipients = st.sampled_from(["a@proseware.example", "b@adatum.example", "c@archive.example"])
limits = st.sampled_from([None, addresses("@archive.example"), addresses("*")])
own = st.sampled_from([None, addresses("ann@proseware.example"), addresses("*")])
ends = st.sampled_from([None, NOON.date(), NOON.replace(year=2025), NOON.replace(hour=13)])
networks = st.tuples(near | addresses_v4, st.integers(8, 32)).map(
    lambda it: str(ip_network(f"{it[0]}/{it[1]}", strict=False))
)
kinds = st.one_of(
    st.just(SIGNED_IN), st.just(POP_WINDOW), st.just(host_name()), networks.map(network)
)
doors = st.builds(
    lambda door, where, to, as_, until: replace(
        door, listeners=where, sends_to=to, sends_as=as_, until=until
    ),
    kinds,
    listeners,
    limits,
    own,
    ends,
)
identities = st.builds(
    Identity, st.sampled_from(Ownership), st.sampled_from(Ownership), st.sampled_from(Ownership)
)
all_rules = st.builds(
    lambda many, identity: rules(*many, identity=identity), st.lists(doors, max_size=4), identities
)
accounts = st.sampled_from([None, ANN, BOB])
fetched = st.none() | st.tuples(st.sampled_from([ANN, BOB]), st.integers(-5, 90))
requests = st.builds(
    lambda to, sender, address, listener, who, pop, name: request(
        to,
        sender=sender,
        address=address,
        listener=listener,
        signed_in=who,
        fetched=pop,
        name=name,
        sender_account={"ann@proseware.example": ANN, "bob@proseware.example": BOB}.get(sender),
    ),
    recipients,
    senders,
    near | addresses_v4,
    st.sampled_from(["mx", "submission"]),
    accounts,
    fetched,
    st.none() | st.tuples(st.just("shop.dyn.example"), st.integers(0, 200)),
)


def is_open(door: Door, asked: Request) -> bool:
    """The slow, obvious twin of recognition."""
    client = asked.client
    if door.listeners and client.listener not in door.listeners:
        return False
    if is_over(door, asked.at):
        return False
    match door.kind.value:
        case "signed-in":
            return client.signed_in is not None
        case "network":
            return any(client.address in ip_network(text) for text in door.networks)
        case "host-name":
            seen = [it.last_seen for it in client.watched_names if it.host in door.hosts]
            return any(asked.at - at <= door.linger for at in seen)
        case _:
            return any(
                session.account == owner_of(asked)
                and (client.signed_in is None or client.signed_in.account == session.account)
                and (asked.at - session.last_command).total_seconds() >= 0
                and asked.at - session.last_command <= door.window
                for session in client.pop_sessions
            )


def owner_of(asked: Request) -> Account | None:
    return {"<ann@proseware.example>": ANN, "<bob@proseware.example>": BOB}.get(
        str(asked.reverse_path)
    )


@given(requests, all_rules)
def test_strangers_never_relay(asked: Request, by: Rules) -> None:
    assert asked.forward_path is not None
    stranger = not any(is_open(door, asked) for door in by.doors)
    foreign = asked.forward_path.domain not in by.local_domains
    if stranger and foreign:
        decision = decide_recipient(asked, by)
        assert decision.verdict in (Verdict.REFUSE, Verdict.DEFER)


@given(requests, all_rules)
def test_recognition_is_what_the_obvious_twin_says(asked: Request, by: Rules) -> None:
    decision = decide_recipient(asked, by)
    if decision.verdict is Verdict.ACCEPT and decision.reason.value != "local-recipient":
        assert any(is_open(door, asked) for door in by.doors)


@given(requests, all_rules, recipients, st.integers(0, 100_000))
def test_what_lasts_gives_the_same_decisions_later_and_for_other_recipients(
    asked: Request, by: Rules, other: str, later_minutes: int
) -> None:
    said = lasting(asked, by)
    later = replace(
        asked,
        at=asked.at + timedelta(minutes=later_minutes),
        forward_path=parse_mailbox(other),
        authorship=Authorship((parse_mailbox("ann@proseware.example"),)),
    )
    for decide in (decide_mail, decide_recipient, decide_content):
        assert decide(later, by, said) == decide(later, by)
    if said is not None:
        assert said == lasting(asked, by), "asking left it as it was"


@given(requests, all_rules, st.randoms(use_true_random=False))
def test_the_order_of_doors_never_matters(asked: Request, by: Rules, dice: object) -> None:
    shuffled = list(by.doors)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis gives a Random
    other = rules(*shuffled, identity=by.identity)
    first, second = decide_transaction(asked, by), decide_transaction(asked, other)
    assert [it.verdict for it in first] == [it.verdict for it in second]


@given(requests, all_rules)
def test_what_is_said_to_help_is_accepted(asked: Request, by: Rules) -> None:
    decision = decide_transaction(asked, by)[-1]
    for idea in suggestions(asked, by, decision):
        if idea.kind not in ("nothing", "wait"):
            changed = decide_transaction(idea.request or asked, idea.rules or by)
            assert changed[-1].accepted


@given(requests, all_rules)
def test_every_refusal_says_something(asked: Request, by: Rules) -> None:
    decision = decide_transaction(asked, by)[-1]
    assert bool(suggestions(asked, by, decision)) is not decision.accepted


@given(requests, all_rules)
def test_no_grant_is_needed_for_mail_to_our_own_domains_on_mx(asked: Request, by: Rules) -> None:
    assert asked.forward_path is not None
    if asked.client.listener == "mx" and asked.forward_path.domain in by.local_domains:
        assert decide_recipient(asked, by).verdict is Verdict.ACCEPT
