"""Looking at a port as a mail program does: greeting, what is offered, TLS; nobody signs in."""

import ssl
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from posthouse.probe.certificate import OLD_VERSIONS, Trust, TrustProblem, problem_of
from posthouse.probe.doors import Door, Offer, Reach, Visit
from posthouse.probe.talk import HandshakeCutError, Line, PopAnswer, Talk, TalkError
from posthouse.protocol.smtp.answers import extensions_in

SECONDS: Final = 8.0
ADDRESSES_MAX: Final = 4
_UPGRADE_HIDDEN: Final = "XXXXXXXA"  # what a meddling firewall writes over STARTTLS


class Manner(Struct, frozen=True, kw_only=True):
    """How to talk.

    Attributes:
        hello: Our name in EHLO; "" for our address.
        seconds: To wait for each thing.
        trust: Whom to trust.
    """

    hello: str = ""
    seconds: float = SECONDS
    trust: Trust = Trust()


class Opened(Struct):
    """A conversation that came as far as it could: encrypted if the server can."""

    talk: Talk
    visit: Visit


async def visit(host: str, door: Door, addresses: Sequence[str], manner: Manner) -> Visit:
    """Look at a port and leave; the addresses are tried in turn until one answers."""
    if not addresses:
        return Visit(host=host, door=door, reach=Reach.NO_ADDRESS)
    dead: list[str] = []
    seen = None
    for address in addresses[:ADDRESSES_MAX]:
        seen = await _visit_address(host, door, address, manner)
        if seen.is_open:
            return replace(seen, dead=tuple(dead))
        dead.append(address)
    assert seen is not None, "there is an address"
    return seen


async def _visit_address(host: str, door: Door, address: str, manner: Manner) -> Visit:
    empty = Visit(host=host, door=door, reach=Reach.OPEN, address=address)
    record: list[Line] = []
    try:
        opened = await open_door(empty, manner, record)
    except TalkError as problem:
        greeting = next((line.text for line in record if line.mark == "<"), "")
        return replace(empty, reach=problem.reach, trouble=str(problem), greeting=greeting)
    await leave(opened)
    return opened.visit


async def leave(opened: Opened) -> None:
    """Say goodbye."""
    try:
        if opened.visit.door.service.fetches:
            await opened.talk.pop("QUIT")
        else:
            await opened.talk.smtp("QUIT")
    except TalkError:
        return
    finally:
        await opened.talk.close()


async def open_door(empty: Visit, manner: Manner, record: list[Line]) -> Opened:
    """Connect, greet, and start TLS if it is offered.

    A certificate that a program would not take is looked at on a second connection, so that it
    can be said what is wrong with it.

    Raises:
        TalkError: If there is no service.
    """
    problem: TrustProblem | None = None
    try:
        return await _open(empty, manner, manner.trust.strict(), record)
    except ssl.SSLError as error:
        problem, detail = problem_of(error)
    except HandshakeCutError as error:
        detail = str(error)
    record.append(Line("=", f"TLS: {detail}"))
    try:
        opened = await _open(empty, manner, manner.trust.lax(), record)
    except ssl.SSLError as error:
        raise TalkError(f"TLS fails: {problem_of(error)[1]}") from None
    if (tls := opened.visit.tls) is not None:
        cut_off = TrustProblem.OLD_TLS if tls.version in OLD_VERSIONS else TrustProblem.OTHER
        seen = replace(tls, problem=problem or cut_off, detail=detail)
        opened.visit = replace(opened.visit, tls=seen)
    return opened


async def _open(
    empty: Visit, manner: Manner, context: ssl.SSLContext, record: list[Line]
) -> Opened:
    talk = await Talk.open(empty.address, empty.door.port, manner.seconds, record)
    opened = Opened(talk, empty)
    try:
        if empty.door.service.from_start:
            tls = await talk.start_tls(context, empty.host)
            opened.visit = replace(empty, tls=tls)
        if empty.door.service.fetches:
            await _greet_pop(opened, context)
        else:
            await _greet_smtp(opened, manner, context)
    except BaseException:
        await talk.close()
        raise
    return opened


async def _greet_smtp(opened: Opened, manner: Manner, context: ssl.SSLContext) -> None:
    talk, seen = opened.talk, opened.visit
    greeting = await talk.greeting()
    opened.visit = seen = replace(seen, greeting=str(greeting))
    if not greeting.is_positive:
        raise TalkError(str(greeting), Reach.TURNED_AWAY)
    offer, hidden = await _smtp_offer(talk, manner)
    if seen.tls is not None:
        opened.visit = replace(seen, encrypted=offer)
        return
    opened.visit = seen = replace(seen, clear=offer, trouble="STARTTLS hidden" if hidden else "")
    if not offer.upgrade:
        return
    answer = await talk.smtp("STARTTLS")
    if answer.code != 220:
        opened.visit = replace(seen, trouble=str(answer))
        return
    tls = await talk.start_tls(context, seen.host)
    encrypted, _ = await _smtp_offer(talk, manner)
    opened.visit = replace(seen, tls=tls, encrypted=encrypted)


async def _smtp_offer(talk: Talk, manner: Manner) -> tuple[Offer, bool]:
    """Say EHLO, or HELO to those who know no better (RFC 5321 section 3.2)."""
    name = manner.hello or talk.own_literal
    reply = await talk.smtp(f"EHLO {name}")
    if reply.code // 100 == 5:
        await talk.smtp(f"HELO {name}")
        return Offer(), False
    found = extensions_in(reply)
    offer = Offer(found.starttls, found.mechanisms, found.size_octets_max)
    return offer, _UPGRADE_HIDDEN in reply.text.upper()


async def _greet_pop(opened: Opened, context: ssl.SSLContext) -> None:
    talk, seen = opened.talk, opened.visit
    greeting = await talk.pop()
    opened.visit = seen = replace(seen, greeting=str(greeting))
    if not greeting.positive:
        raise TalkError(str(greeting), Reach.TURNED_AWAY)
    offer = _pop_offer(await talk.pop("CAPA", lines=True))
    if seen.tls is not None:
        opened.visit = replace(seen, encrypted=offer)
        return
    opened.visit = seen = replace(seen, clear=offer)
    if not offer.upgrade:
        return
    answer = await talk.pop("STLS")
    if not answer.positive:
        opened.visit = replace(seen, trouble=str(answer))
        return
    tls = await talk.start_tls(context, seen.host)
    encrypted = _pop_offer(await talk.pop("CAPA", lines=True))
    opened.visit = replace(seen, tls=tls, encrypted=encrypted)


def _pop_offer(answer: PopAnswer) -> Offer:
    """Return what CAPA tells (RFC 2449); a server without CAPA knows USER."""
    if not answer.positive:
        return Offer(mechanisms=("USER",))
    words = {line.upper().split(" ")[0]: line.upper().split()[1:] for line in answer.lines if line}
    user = ("USER",) if "USER" in words else ()
    return Offer("STLS" in words, (*user, *words.get("SASL", ())))
