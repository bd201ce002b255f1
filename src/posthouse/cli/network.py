"""`posthouse network`: which networks may relay, by the file and by grants made at run time."""

import getpass
from datetime import datetime
from ipaddress import ip_address

import click
from msgspec import Struct

from posthouse.accounts.store import Grant
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import Installation, current_options, now, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note, say, table
from posthouse.cli.running import tell_server
from posthouse.cli.spans_of_time import ago, parse_end, parse_span
from posthouse.config import schema
from posthouse.policy.networks import NetworkError, fold, parse_networks
from posthouse.policy.recognition import end_of
from posthouse.server.requests import GrantsChanged


class Entry(Struct, frozen=True):
    """One listed network, wherever it is listed."""

    networks: tuple[str, ...]
    name: str
    listed: str
    until: datetime | None
    ended: bool
    because: str
    addresses: int
    grant: int | None = None


@click.group()
def network() -> None:
    """Networks that may relay without signing in."""


@network.command("list")
@shared_options
def list_networks() -> None:
    """List every network that may relay, how wide it is, and until when."""
    entries = _entries(open_installation(current_options()))
    if current_options().json:
        document("networks", {"networks": entries})
        return
    if not entries:
        note("no network may relay; add one: posthouse network add ADDRESS --for 8h")
        return
    table(("NETWORK", "ADDRESSES", "UNTIL", "NAME", "LISTED", "BECAUSE"), map(_row, entries))


@network.command()
@click.argument("networks")
@click.option("--for", "span", metavar="TIME", help="How long: 30min, 8h, 2d.")
@click.option("--until", metavar="DATE", help="Last day (UTC): 2026-06-30.")
@click.option("--name", default="", help="What decisions call it.")
@click.option("--because", default="", help="Why; wide networks need it.")
@shared_options
def add(networks: str, span: str | None, until: str | None, name: str, because: str) -> None:
    """Let NETWORKS relay: an address, a CIDR network, a first-last range, or several with commas.

    It takes effect at the next mail, also in sessions that are open, without a reload.
    """
    if span and until:
        raise Failure("--for and --until exclude each other", Exit.USAGE)
    end = now() + parse_span(span) if span else parse_end(until) if until else None
    if end is not None and end <= now():
        raise Failure(f"{until} is past", Exit.USAGE)
    installation = open_installation(current_options())
    with installation.accounts() as store:
        grant = store.add_grant(
            networks, name=name, until=end, because=because, by=getpass.getuser()
        )
    tell_server(installation, GrantsChanged())
    if current_options().json:
        document("network", {"network": _of_grant(grant)})
        return
    lasting = f"until {end:%Y-%m-%d %H:%M} UTC ({ago(end, now())})" if end else "without an end"
    say(f"{', '.join(grant.networks)} may relay {lasting}")
    note(f"take it back with: posthouse network remove {grant.id}")


@network.command()
@click.argument("which")
@shared_options
def remove(which: str) -> None:
    """Take a grant back, by its number or its network; takes effect at the next mail."""
    installation = open_installation(current_options())
    with installation.accounts() as store:
        named = [it for it in store.grants() if _is_meant(which, it)]
        current = [it for it in named if not it.ended(now())] or named
        if not current:
            raise Failure(
                f"no grant is {which!r}: `posthouse network list` shows them;"
                " networks of the file are removed there"
            )
        for grant in current:
            store.remove_grant(grant.id)
    tell_server(installation, GrantsChanged())
    if current_options().json:
        document("networks", {"removed": [_of_grant(it) for it in current]})
        return
    for grant in current:
        say(f"{', '.join(grant.networks)} may not relay any more")


@network.command()
@click.argument("address")
@shared_options
def who(address: str) -> int:
    """Tell which entries hold ADDRESS."""
    try:
        asked = fold(ip_address(address))
    except ValueError:
        raise Failure(f"{address!r} is not an IP address", Exit.USAGE) from None
    found = [
        entry
        for entry in _entries(open_installation(current_options()))
        if any(asked in net for text in entry.networks for net in parse_networks(text))
    ]
    if current_options().json:
        document("networks", {"address": str(asked), "networks": found})
    elif found:
        table(("NETWORK", "ADDRESSES", "UNTIL", "NAME", "LISTED", "BECAUSE"), map(_row, found))
    else:
        say(f"{asked} is in no network that may relay")
    return Exit.DONE if any(not entry.ended for entry in found) else Exit.NO


def _is_meant(which: str, grant: Grant) -> bool:
    """By number, as it was listed, or as the same addresses written differently."""
    if which in (str(grant.id), *grant.networks):
        return True
    try:
        return parse_networks(which) in [parse_networks(text) for text in grant.networks]
    except NetworkError:
        return False


def _entries(installation: Installation) -> list[Entry]:
    configuration, spans = installation.loaded.configuration, installation.loaded.spans
    entries = []
    for number, door in enumerate(configuration.may_relay):
        if isinstance(door, schema.Network):
            texts = tuple(each.text for each in door.networks)
            end = end_of(door.until) if door.until else None
            where = spans.where(("may_relay", number), installation.path.name)
            ended = end is not None and end <= now()
            width = _width(texts)
            entries.append(Entry(texts, door.name, where, end, ended, door.because, width))
    with installation.accounts() as store:
        entries += [_of_grant(grant) for grant in store.grants()]
    return entries


def _of_grant(grant: Grant) -> Entry:
    listed = f"grant {grant.id} by {grant.by}"
    return Entry(
        grant.networks,
        grant.name,
        listed,
        grant.until,
        grant.ended(now()),
        grant.because,
        _width(grant.networks),
        grant.id,
    )


def _width(texts: tuple[str, ...]) -> int:
    try:
        return sum(net.num_addresses for text in texts for net in parse_networks(text))
    except NetworkError:
        return 0


def _row(entry: Entry) -> tuple[str, ...]:
    until = "no end" if entry.until is None else f"{entry.until:%Y-%m-%d %H:%M}"
    return (
        ", ".join(entry.networks),
        f"{entry.addresses:,}",
        f"{until} (ended)" if entry.ended else until,
        entry.name or "-",
        entry.listed,
        entry.because or "-",
    )
