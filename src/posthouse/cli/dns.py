"""`posthouse dns`: the records that our domains need, and whether they are there."""

import asyncio

import click

from posthouse.cli.dkim import keys_of, our_domain
from posthouse.cli.dns_checks import Checked, Site, State, check_records
from posthouse.cli.dns_plan import Need, Purpose, Record, our_addresses, plan, smart_host
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import Installation, current_options, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note, say, styled
from posthouse.cli.zone_lines import zone_line
from posthouse.delivery.signing_keys import KeyFileError
from posthouse.dns.lookups import look_up_by
from posthouse.server.assembly import resolver_of

_STYLES = {State.OK: "ok", State.MISSING: "failed", State.WRONG: "wrong", State.UNKNOWN: "defer"}


@click.group()
def dns() -> None:
    """What DNS must say so that mail comes in and is believed."""


@dns.command()
@click.argument("domain")
@shared_options
def records(domain: str) -> None:
    """Print the records for DOMAIN as lines of a zone file."""
    opened = open_installation(current_options())
    name = our_domain(opened, domain)
    planned = _planned(opened, name)
    if current_options().json:
        document("dns-records", {"domain": name, "records": planned})
        return
    for record in planned:
        say(f"; {record.need}: {record.why}")
        say(zone_line(record.name, record.kind, record.value))
    if not any(record.purpose is Purpose.DKIM for record in planned):
        note(f"mail of {name} is not signed: posthouse dkim key add {name}")


@dns.command()
@click.argument("domain")
@shared_options
def check(domain: str) -> int:
    """Ask DNS for the records of DOMAIN and tell what is missing or wrong."""
    opened = open_installation(current_options())
    name = our_domain(opened, domain)
    checked = asyncio.run(_checked(opened, name, _planned(opened, name)))
    if current_options().json:
        document("dns-check", {"domain": name, "records": checked})
    else:
        for it in checked:
            _print(it)
    bad = [it for it in checked if it.is_bad]
    if any(it.state is not State.UNKNOWN for it in bad):
        return Exit.NO
    return Exit.TRY_AGAIN if bad else Exit.DONE


def _planned(opened: Installation, name: str) -> tuple[Record, ...]:
    try:
        keys = keys_of(opened).of(name)
    except KeyFileError as problem:
        raise Failure(str(problem), Exit.UNREACHABLE) from None
    return plan(opened.loaded.configuration, name, keys)


async def _checked(
    opened: Installation, name: str, planned: tuple[Record, ...]
) -> tuple[Checked, ...]:
    configuration = opened.loaded.configuration
    resolver = resolver_of(configuration)
    site = Site(
        configuration.hostname, name, our_addresses(configuration), smart_host(configuration)
    )
    try:
        return await check_records(planned, site, look_up_by(resolver))
    finally:
        await resolver.close()


def _print(it: Checked) -> None:
    record = it.record
    optional = " (optional)" if record.need is Need.OPTIONAL else ""
    click.echo(f"{styled(it.state.value, _STYLES[it.state]):<8}", nl=False)
    say(f" {record.purpose.value:<12} {record.kind:<4} {record.name}{optional}")
    if it.found and it.state is not State.OK:
        say(f"         there is: {it.found}")
    if it.state in (State.MISSING, State.WRONG):
        for line in zone_line(record.name, record.kind, record.value).split("\n"):
            say(f"         {line}")
