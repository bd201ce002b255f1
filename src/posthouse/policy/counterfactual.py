"""What would help: the smallest changes that would let the same mail through.

There is no second set of rules here. Each idea changes the facts (or adds one door) and asks the
same policy; only what it then accepts is suggested.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from posthouse.mail.address import AddressError, Mailbox, ReversePath, parse_mailbox
from posthouse.policy.decision import Decision, Stage
from posthouse.policy.facts import Account, Authorship, Client, PopSession, Request, SignIn
from posthouse.policy.networks import NetworkTable, parse_networks
from posthouse.policy.reasons import RELAY_REFUSALS, WORDINGS, Reason
from posthouse.policy.recognition import is_over
from posthouse.policy.rules import Door, DoorKind, ListenerRule, Passwords, Rules, Service
from posthouse.policy.transaction import decide_transaction

NETWORKS_SUGGESTED_MAX: Final = 3
PLACES_CHANGED_MAX: Final = 4  # reverse-path, From, Sender, Reply-To
DOORS_LOOKED_AT_MAX: Final = 50  # a refusal is answered at once, however many doors there are
_RECOGNITION: Final = RELAY_REFUSALS | {
    Reason.SIGN_IN_FIRST,
    Reason.RECOGNITION_UNREADABLE,
    Reason.RECIPIENT_NOT_IN_DOOR,
}
_IDENTITY: Final = frozenset(
    {
        Reason.SENDER_NOT_OWN,
        Reason.FROM_NOT_OWN,
        Reason.SENDER_FIELD_NOT_OWN,
        Reason.REPLY_TO_NOT_OWN,
        Reason.FROM_UNREADABLE,
        Reason.FROM_AMBIGUOUS,
    }
)


# Where another mail would pass: what to write instead.
_WRITE_OTHERWISE: Final[dict[Reason, str]] = {
    Reason.RECIPIENT_UNKNOWN: "check the recipient's address: nobody here has it",
    Reason.ROUTED_RECIPIENT: "write to the plain address, without a route in it",
    Reason.MESSAGE_TOO_BIG: "send a smaller message, or a link instead of the file",
    Reason.BREAKS_FORMAT: "let the program end every line with CR LF",
    Reason.FROM_UNREADABLE: "write one valid address into the field",
    Reason.FROM_AMBIGUOUS: "write one From field with one author, or name who sends in Sender",
    Reason.AUTHOR_NOT_CONFIRMED: "send it through the servers of the domain in the From field",
    Reason.LOOKS_LIKE_SPAM: "write the message differently, or ask who runs this server to look",
}


class Suggestion(Struct, frozen=True):
    """One change that lets the mail through, tried with the policy.

    Attributes:
        kind: ``sign-in``, ``fetch-mail``, ``use-address``, ``come-from-network``, ``grant``,
            ``wait`` or ``nothing``.
        text: What to do, in one sentence.
        request: The changed facts that the policy accepts; None where it is not a change of facts.
        rules: The changed rules, for a grant; None where they stay.
    """

    kind: str
    text: str
    request: Request | None = None
    rules: Rules | None = None


def suggestions(request: Request, rules: Rules, decision: Decision) -> tuple[Suggestion, ...]:
    """Return what would help against a refusal, smallest first; empty for what was accepted."""
    if decision.accepted:
        return ()
    ideas: list[Suggestion] = []
    if decision.reason in _RECOGNITION:
        ideas = [
            *_sign_in(request, rules),
            *_fetch_mail(request, rules),
            *_come_from_network(request, rules),
            *_grant(request, rules),
        ]
    elif decision.reason in _IDENTITY:
        ideas = [*_use_address(request, rules, decision)]
    helpful = tuple(idea for idea in ideas if _is_accepted(idea, request, rules))
    return helpful or (_otherwise(decision),)


def would_help(request: Request, rules: Rules, decision: Decision) -> tuple[str, ...]:
    """Return the texts of `suggestions`."""
    return tuple(it.text for it in suggestions(request, rules, decision))


def _is_accepted(idea: Suggestion, request: Request, rules: Rules) -> bool:
    decisions = decide_transaction(idea.request or request, idea.rules or rules)
    return decisions[-1].accepted


def _with_account(request: Request, rules: Rules) -> tuple[Account, Request]:
    """Return who would be recognised, and the request as that person would write it.

    A sender of ours writes as before. Anybody else needs an account here and one of its
    addresses: a stand-in account tells whether a door would then open.
    """
    if request.sender_account is not None:
        return request.sender_account, request
    own = Mailbox("you", min(rules.local_domains, default=rules.hostname))
    authorship = request.authorship and Authorship((own,))
    changed = replace(request, reverse_path=ReversePath(own), authorship=authorship)
    return Account(str(own), frozenset({own})), changed


def _as_whom(request: Request) -> str:
    if request.sender_account is not None:
        return f"as {request.sender_account.name}"
    return "with an account here, using its address"


def _sign_in(request: Request, rules: Rules) -> Iterator[Suggestion]:
    """Sign in, here if a door allows, else on a listener where one does."""
    account, changed = _with_account(request, rules)
    for door in rules.signed_in_doors:
        if is_over(door, request.at):
            continue
        submission = door.passwords is Passwords.SUBMISSION
        sign_in = SignIn(account, submission_password=submission)
        for listener in _listeners_for(door, request.client, rules):
            client = replace(request.client, listener=listener.name, signed_in=sign_in, tls=True)
            password = " with a submission password" if submission else ""
            text = f"sign in {_as_whom(request)}{password} ({how_to_reach(listener, rules)})"
            yield Suggestion("sign-in", text, replace(changed, client=client))
            return


def _listeners_for(door: Door, client: Client, rules: Rules) -> list[ListenerRule]:
    """Listeners where signing in helps: the client's own first, then submission listeners.

    On a transfer listener AUTH is offered only if a door names it.
    """

    def offers(listener: ListenerRule) -> bool:
        if door.listeners:
            return listener.name in door.listeners
        return listener.service is Service.SUBMISSION

    there = [listener for listener in rules.listeners.values() if offers(listener)]
    return sorted(there, key=lambda listener: listener.name != client.listener)


def how_to_reach(listener: ListenerRule, rules: Rules) -> str:
    """Return where one signs in: ``mail.example.com port 587, STARTTLS``."""
    ports = " or ".join(str(port) for port in sorted(set(listener.ports))) or "?"
    if listener.tls_from_start:
        security = "SSL/TLS"
    else:
        security = "STARTTLS" if listener.tls_before_sign_in else "STARTTLS if offered"
    return f"{rules.hostname} port {ports}, {security}"


def _fetch_mail(request: Request, rules: Rules) -> Iterator[Suggestion]:
    """Fetch mail by POP3 from the same address, then send within the window."""
    account, changed = _with_account(request, rules)
    for door in rules.pop_window_doors if rules.serves_pop3 else ():
        client = replace(
            request.client,
            pop_sessions=(PopSession(account, request.at),),
            unreadable=frozenset(),
        )
        listener = rules.listeners.get(request.client.listener)
        if door.listeners and request.client.listener not in door.listeners:
            listener = rules.listeners.get(min(door.listeners))
            if listener is None:
                continue
            client = replace(client, listener=listener.name)
        minutes = int(door.window / timedelta(minutes=1))
        place = f" on port {listener.ports[0]}" if listener and listener.ports else ""
        text = (
            f"fetch mail by POP3 from the same address {_as_whom(request)},"
            f" then send{place} within {minutes} min"
        )
        yield Suggestion("fetch-mail", text, replace(changed, client=client))
        return


def _come_from_network(request: Request, rules: Rules) -> Iterator[Suggestion]:
    """Send from a network that may relay: the first few, as an operator named them."""
    suggested = 0
    for door in rules.doors[:DOORS_LOOKED_AT_MAX]:
        if door.kind is not DoorKind.NETWORK or is_over(door, request.at) or not door.networks:
            continue
        networks = parse_networks(door.networks[0])
        if networks[0].num_addresses == 1:  # somebody's machine is no place to go to
            continue
        client = replace(request.client, address=networks[0][0], unreadable=frozenset())
        changed = replace(request, client=client)
        text = f"send from the network {door.name} ({door.networks[0]})"
        idea = Suggestion("come-from-network", text, changed)
        if _is_accepted(idea, request, rules):
            yield idea
            suggested += 1
            if suggested == NETWORKS_SUGGESTED_MAX:
                return


def _grant(request: Request, rules: Rules) -> Iterator[Suggestion]:
    """What an administrator types to let this address relay for a working day."""
    address = request.client.address
    networks = parse_networks(str(address))
    door = Door(
        DoorKind.NETWORK,
        "grant",
        until=request.at + timedelta(hours=8),
        networks=(str(address),),
    )
    doors = (*rules.doors, door)
    # The changed question is about this address only: so is the table.
    holding = (*rules.networks.find(address), len(doors) - 1)
    table = NetworkTable((networks[0], number) for number in holding)
    text = f"an administrator runs: posthouse network add {address} --for 8h"
    yield Suggestion("grant", text, rules=replace(rules, doors=doors, networks=table))


def _use_address(request: Request, rules: Rules, decision: Decision) -> Iterator[Suggestion]:
    """Write as one of the addresses that the refusal lists, in each place that is refused."""
    changed, told = request, []
    for _ in range(PLACES_CHANGED_MAX):
        mailbox = _first_usable(decision.allowed)
        if mailbox is None:
            return
        changed = _written_as(mailbox, changed, decision)
        listed = ", ".join(decision.allowed[:5])
        told.append(f"as {decision.field or 'sender'}: {listed}")
        decision = decide_transaction(changed, rules)[-1]
        if decision.accepted:
            text = f"use one of your addresses {'; and '.join(told)}"
            yield Suggestion("use-address", text, changed)
            return
        if decision.reason not in _IDENTITY:
            return


def _first_usable(allowed: tuple[str, ...]) -> Mailbox | None:
    """The first of the listed addresses that is one, or an address in the first listed domain."""
    for text in allowed:
        try:
            return parse_mailbox(f"you{text}" if text.startswith("@") else text)
        except AddressError:
            continue
    return None


def _written_as(mailbox: Mailbox, request: Request, decision: Decision) -> Request:
    if decision.stage is not Stage.CONTENT or request.authorship is None:
        authorship = request.authorship and Authorship((mailbox,))
        return replace(request, reverse_path=ReversePath(mailbox), authorship=authorship)
    match decision.field:
        case "Sender":
            authorship = replace(request.authorship, sender=mailbox, sender_readable=True)
        case "Reply-To":
            authorship = replace(request.authorship, reply_to=(mailbox,), reply_to_readable=True)
        case _:
            authorship = replace(request.authorship, authors=(mailbox,), from_fields=1)
    return replace(request, authorship=authorship)


def _otherwise(decision: Decision) -> Suggestion:
    """What to say where no change of these facts helps."""
    wording = WORDINGS[decision.reason]
    if 400 <= wording.code < 500:
        return Suggestion("wait", "try again later")
    if decision.reason in _WRITE_OTHERWISE:
        return Suggestion("nothing", _WRITE_OTHERWISE[decision.reason])
    return Suggestion("nothing", f"nothing that this server offers; {wording.fixer.value} can help")
