"""`posthouse audit`: the address tricks of open-relay testers, tried on ourselves."""

import asyncio
import socket
from contextlib import suppress
from functools import partial
from ipaddress import ip_address

import click
from msgspec import Struct

from posthouse.cli.accounts_now import accounts_of
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import Installation, current_options, now, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, headline, note, say, table
from posthouse.cli.rules_now import compile_now
from posthouse.policy.address_classes import address_classes
from posthouse.policy.facts import Address, Client, Request
from posthouse.policy.recognition import recognise
from posthouse.policy.rules import Rules
from posthouse.probe.attempt import Attempt, Outcome
from posthouse.probe.audit import CANARY_SECONDS, Audit, Entrance, Verdict
from posthouse.probe.audit import audit as try_all
from posthouse.probe.canary import Canary
from posthouse.probe.line import Line, LineLostError, SocketLine
from posthouse.probe.open_relay import Places, Trick, every_trick, published
from posthouse.server.rehearsal import Rehearsal

EXIT_OF = {Verdict.CLOSED: Exit.DONE, Verdict.OPEN: Exit.NO, Verdict.UNDECIDED: Exit.TRY_AGAIN}
STRANGERS_MAX = 4  # addresses that a stranger may have, of different kinds


class Wanted(Struct, frozen=True):
    """What the command line said.

    Attributes:
        host: A running server; "" for the rules in process.
        ports: Of it.
        domain: A domain it takes mail for.
        local_user: Local-part of a mailbox there.
        canary_domain: A domain of the tester's.
        canary_listen: Where its mail arrives: ``127.0.0.1:2525``; "" if nobody looks.
        seconds: How long to wait for the canary.
        tricks: What to try.
        stop_at_first: End with the first opening.
        source: Address of ours to come from.
    """

    host: str
    ports: tuple[int, ...]
    domain: str
    local_user: str
    canary_domain: str
    canary_listen: str
    seconds: float
    tricks: tuple[Trick, ...]
    stop_at_first: bool
    source: str


@click.command()
@click.option("--host", default="", metavar="NAME", help="A running server; default: in process.")
@click.option("--port", "ports", type=int, multiple=True, help="Of it. Default: 25; repeatable.")
@click.option("--domain", default="", help="A domain it takes mail for. Default: our first one.")
@click.option("--local-user", default="postmaster", help="Local-part of a mailbox there.")
@click.option(
    "--canary-domain",
    default="canary.invalid",
    help="A domain of yours that the server is not responsible for: tricks try to reach it.",
)
@click.option(
    "--canary-listen",
    default="",
    metavar="IP:PORT",
    help="Take mail for the canary domain here, to see what was really delivered.",
)
@click.option("--wait", "seconds", default=CANARY_SECONDS, help="Seconds to wait for the canary.")
@click.option("--quick", is_flag=True, help="Only what the public testers try.")
@click.option("--all", "everything", is_flag=True, help="Go on after the first opening.")
@click.option("--each", is_flag=True, help="Print every attempt.")
@click.option("--source", default="", metavar="IP", help="Address of ours to come from.")
@click.option(
    "--i-may-test-this",
    "permitted",
    is_flag=True,
    help="I run the server that --host names, or its operator asked me to test it.",
)
@shared_options
def audit(host: str, ports: tuple[int, ...], **more: object) -> int:
    """Try the tricks by which servers were made to relay; only real relaying counts as open.

    Without --host the rules of this installation are tried in process, as strangers from every
    kind of address. With --host a running server is tried, one connection at a time. Exit codes:
    0 closed, 1 open, 5 undecided.
    """
    wanted = Wanted(
        host=host,
        ports=ports or (25,),
        domain=str(more["domain"]),
        local_user=str(more["local_user"]),
        canary_domain=str(more["canary_domain"]),
        canary_listen=str(more["canary_listen"]),
        seconds=float(str(more["seconds"])),
        tricks=tuple(published()) if more["quick"] else every_trick(),
        stop_at_first=not more["everything"] and bool(host) and not _is_loopback(host),
        source=str(more["source"]),
    )
    if host:
        _check_permission(host, permitted=bool(more["permitted"]))
    try:
        found = _on_the_wire(wanted) if host else _in_process(wanted)
    except LineLostError as problem:
        raise Failure(str(problem), Exit.UNREACHABLE) from None
    _print(found, wanted, each=bool(more["each"]))
    return EXIT_OF[found.verdict]


def _check_permission(host: str, *, permitted: bool) -> None:
    if permitted or _is_loopback(host):
        return
    raise Failure(
        f"{host} is not this machine: if it is yours, or its operator asked you to test it,"
        " add --i-may-test-this",
        Exit.NOT_PERMITTED,
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False


# ------------------------------------------------------------------ in process


def _in_process(wanted: Wanted) -> Audit:
    installation = open_installation(current_options())
    return asyncio.run(_rehearse(installation, wanted))


async def _rehearse(installation: Installation, wanted: Wanted) -> Audit:
    configuration = installation.loaded.configuration
    with accounts_of(installation) as store:
        rules = compile_now(installation, store)
        with Rehearsal(configuration, rules, store, now=now) as rehearsal:
            domain = wanted.domain or min(rules.local_domains, default=rules.hostname)
            entrances = [
                _rehearsed(rehearsal, address, listener, domain, wanted, everything=number == 0)
                for listener in rules.listeners
                for number, address in enumerate(strangers(rules, listener))
            ]
            return await try_all(entrances, wanted.tricks)


def _rehearsed(
    rehearsal: Rehearsal,
    address: Address,
    listener: str,
    domain: str,
    wanted: Wanted,
    *,
    everything: bool,
) -> Entrance:
    """Return a listener as one stranger finds it; further strangers try what testers try."""

    async def open_line() -> Line:
        return rehearsal.connect(address, listener)

    hostname = rehearsal.service.rules.hostname
    places = Places(
        hostname,
        "127.0.0.1",
        foreign_domain=wanted.canary_domain,
        local_domain=domain,
        local_user=wanted.local_user,
    )
    tricks = None if everything else tuple(published())
    name = f"{listener} from {address}"
    return Entrance(name, places, open_line, tricks, rehearsal.led_away)


def strangers(rules: Rules, listener: str) -> tuple[Address, ...]:
    """Return one address of each kind by which nobody is recognised on the listener.

    Where every address of a family is recognised, nobody is left to be a stranger, and anybody
    is one: then an address of the widest class is returned.
    """
    classes = address_classes(rules)
    found: list[Address] = []
    for group in classes:
        request = Request(now(), Client(group.example, listener))
        if not recognise(request, rules).open:
            found.append(group.example)
    for version in (4, 6):
        if all(address.version != version for address in found):
            family = [group for group in classes if group.version == version]
            found.insert(0, max(family, key=lambda group: group.width).example)
    return tuple(found[:STRANGERS_MAX])


# ------------------------------------------------------------------ on the wire


def _on_the_wire(wanted: Wanted) -> Audit:
    domain = wanted.domain or _own_domain()
    return asyncio.run(_visit(wanted, domain))


def _own_domain() -> str:
    try:
        configuration = open_installation(current_options()).loaded.configuration
    except Failure:
        raise Failure(
            "--domain: name a domain that the server takes mail for", Exit.USAGE
        ) from None
    return min(configuration.domains, default=configuration.hostname)


async def _visit(wanted: Wanted, domain: str) -> Audit:
    canary = await _canary(wanted.canary_listen)
    try:
        entrances = [await _entrance(wanted, port, domain) for port in wanted.ports]
        return await try_all(
            entrances,
            wanted.tricks,
            canary=canary,
            stop_at_first=wanted.stop_at_first,
            canary_seconds=wanted.seconds,
        )
    finally:
        if canary is not None:
            await canary.close()


async def _canary(place: str) -> Canary | None:
    if not place:
        return None
    host, _, port = place.rpartition(":")
    canary = Canary()
    try:
        await canary.listen(host.strip("[]") or "127.0.0.1", int(port))
    except (OSError, ValueError) as problem:
        raise Failure(f"--canary-listen {place!a}: {problem}", Exit.UNREACHABLE) from None
    return canary


async def _entrance(wanted: Wanted, port: int, domain: str) -> Entrance:
    """Look once at a port: its greeting name, and how the server sees us."""
    tls = port == 465
    line = await SocketLine.open(wanted.host, port, tls=tls, source=wanted.source)
    try:
        greeting = await line.reply()
        peer, source = line.peer, line.source
    finally:
        await line.close()
    places = Places(
        greeting.text.split(" ")[0] or wanted.host,
        peer,
        foreign_domain=wanted.canary_domain,
        local_domain=domain,
        local_user=wanted.local_user,
        client_name=await asyncio.to_thread(_name_of, source),
    )
    open_line = partial(SocketLine.open, wanted.host, port, tls=tls, source=wanted.source)
    return Entrance(f"port {port}", places, open_line)


def _name_of(address: str) -> str:
    with suppress(OSError):
        return socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]
    return "localhost"


# ------------------------------------------------------------------ the answer


def _print(found: Audit, wanted: Wanted, *, each: bool) -> None:
    if current_options().json:
        counts = {outcome.value: by for outcome, by in found.counts().items()}
        document(
            "audit",
            {
                "host": wanted.host,
                "verdict": found.verdict,
                "canary_watched": found.canary_watched,
                "counts": counts,
                "attempts": found.attempts,
            },
        )
        return
    _print_verdict(found)
    entrances = list(dict.fromkeys(it.entrance for it in found.attempts))
    by_outcome = found.counts()
    rows = [
        (entrance, *(by.get(entrance, 0) or "-" for by in by_outcome.values()))
        for entrance in entrances
    ]
    table(("WHERE", *(outcome.value for outcome in by_outcome)), rows)
    shown = found.attempts if each else found.openings()
    if shown:
        say()
        table(("TRICK", "WHERE", "OUTCOME", "MAIL FROM", "RCPT TO", "REPLY"), map(_row, shown))
    if found.verdict is Verdict.OPEN and not found.canary_watched and wanted.host:
        note("to see whether it is delivered, add --canary-domain and --canary-listen")


def _print_verdict(found: Audit) -> None:
    tries = f"{len(found.attempts):,} attempts"
    match found.verdict:
        case Verdict.CLOSED:
            headline("ok", f"closed: nothing was relayed ({tries})")
        case Verdict.OPEN:
            delivered = any(it.outcome is Outcome.DELIVERED for it in found.attempts)
            proof = "delivered to the canary" if delivered else "accepted for relay"
            headline("wrong", f"OPEN: mail of a stranger was {proof} ({tries})")
        case Verdict.UNDECIDED:
            headline("defer", f"undecided: too many attempts had no answer; try later ({tries})")


def _row(it: Attempt) -> tuple[str, ...]:
    return (it.trick, it.entrance, it.outcome.value, it.sender, it.recipient, it.reply)
