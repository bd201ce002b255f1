"""Whether a host may use a domain in its reverse-paths (RFC 7208), by the library spftrace.

The library asks DNS through us, so our cache and our limits hold; its trace becomes our checks.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, cast

from msgspec import Struct
from spftrace import BaseResolver, Evaluator, Event, Limits
from spftrace import Result as Traced

from posthouse.authentication.lookups import LookUp, LookUpError, RecordType
from posthouse.authentication.results import Check, Result
from posthouse.mail.address import AddressError, ReversePath, parse_domain

CHECKS_MAX: Final = 60
SECONDS_MAX: Final = 20.0  # RFC 7208 §4.6.4: at least 20 in all
QUERIES_MAX: Final = 60
WORDS_MAX: Final = 300


class Spf(Struct, frozen=True):
    """What SPF says of a transaction.

    Attributes:
        result: In one word.
        because: In a few.
        checks: Every question that was put.
        domain: Which was asked about; "" if there was none to ask about.
        of_hello: It is that of EHLO, because the reverse-path is null (RFC 7208 §2.4).
    """

    result: Result
    because: str
    checks: tuple[Check, ...] = ()
    domain: str = ""
    of_hello: bool = False


class Sender(Struct, frozen=True):
    """Who hands mail in.

    Attributes:
        address: Of the client.
        hello: Name given by EHLO or HELO; hostile text.
        reverse_path: Of the transaction.
    """

    address: IPv4Address | IPv6Address
    hello: str
    reverse_path: ReversePath


async def check_sender(sender: Sender, look_up: LookUp, hostname: str) -> Spf:
    """Return what the domain of the reverse-path says about the client.

    Args:
        sender: The client and what it said.
        look_up: Asks DNS.
        hostname: Ours, for the macro ``%{r}``.
    """
    mailbox = sender.reverse_path.mailbox
    hello = _host_name(sender.hello)
    domain = mailbox.domain if mailbox else hello
    of_hello = mailbox is None
    if not domain or domain.startswith("[") or "." not in domain:
        what = "EHLO" if of_hello else "reverse-path"
        because = f"the {what} has no domain name"
        return Spf(Result.NONE, because, (Check("there is a domain to ask", False, because),))  # noqa: FBT003 - an answer
    evaluator = Evaluator(
        _Asking(look_up),
        Limits(time_limit=SECONDS_MAX, max_queries=QUERIES_MAX),
        receiver=hostname,
    )
    name = f"{mailbox.local_part}@{domain}" if mailbox else f"postmaster@{domain}"
    traced = await evaluator.evaluate(str(sender.address), name, hello or domain)
    checks = tuple(_checks(traced, str(sender.address)))[:CHECKS_MAX]
    result = Result(traced.verdict)
    return Spf(result, _because(traced, result, sender, domain), checks, domain, of_hello)


class _Asking(BaseResolver):
    """Asks through our look-up."""

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up

    async def _lookup(self, name: str, rtype: str) -> tuple[str, list[str]]:
        try:
            records = await self._look_up(name, cast("RecordType", rtype))
        except LookUpError:
            return "SERVFAIL", []
        return ("NOERROR" if records.exists else "NXDOMAIN"), list(records.values)


def _host_name(hello: str) -> str:
    try:
        return parse_domain(hello.rstrip("."))
    except AddressError:
        return ""


def _because(traced: Traced, result: Result, sender: Sender, domain: str) -> str:
    matched = [event.data for event in _of_kind(traced, "mech_match")]
    reasons = [event.data for event in _of_kind(traced, "exit")]
    if reasons:
        return _plain(reasons[-1].get("reason", ""))
    if matched:
        return f"{_plain(matched[-1].get('raw', ''))} of {domain} matches {sender.address}"
    return f"{domain} says nothing about {sender.address}" if result is Result.NEUTRAL else ""


def _checks(traced: Traced, address: str) -> Iterator[Check]:
    """The library's events that are answers."""
    domain = ""
    for event in traced.trace.events:
        data: dict[str, Any] = event.data
        match event.kind:
            case "check_start":
                domain = _plain(data["domain"])
            case "policy_parsed":
                yield Check(f"{domain} publishes SPF", answer=True, because=_plain(data["policy"]))
            case "txt_error" | "parse_error":
                yield Check(
                    f"{domain} publishes SPF", answer=False, because=_plain(data["message"])
                )
            case "mech_match" | "mech_nomatch":
                matches = event.kind == "mech_match"
                yield Check(f"{_plain(data['raw'])} matches", answer=matches, because=address)
            case "limit_exceeded":
                because = f"{data['limit']}: {data['used']} of {data['allowed']}"
                yield Check("it keeps to the limits", answer=False, because=because)
            case "exit":
                because = _plain(data["reason"])
                yield Check("the evaluation came to an end", answer=False, because=because)
            case _:
                pass


def _of_kind(traced: Traced, kind: str) -> list[Event]:
    return [event for event in traced.trace.events if event.kind == kind]


def _plain(value: object) -> str:
    """Hostile text in one line of bearable length."""
    text = str(value)
    shown = "".join(sign if sign.isprintable() else "?" for sign in text[: WORDS_MAX + 1])
    return shown if len(shown) <= WORDS_MAX else shown[:WORDS_MAX] + "..."
