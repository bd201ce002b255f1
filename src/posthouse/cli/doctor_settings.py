"""`posthouse settings`, `posthouse doctor settings`: the right fields, and pasted ones beside."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click
import msgspec

from posthouse.cli.doctor_host import name_servers
from posthouse.cli.doctor_words import Words, wanted_language
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import current_options, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note, say, table
from posthouse.config.schema import Configuration
from posthouse.config.schema_listeners import ServiceName, TlsRule
from posthouse.dns.resolver import Resolver
from posthouse.dns.servers import ServerAddress
from posthouse.doctor.advice import PROGRAM_NAMES
from posthouse.doctor.settings import (
    Difference,
    Outgoing,
    ProgramSettings,
    compare,
    fields_of,
    outgoing_for,
)
from posthouse.mail.address import AddressError, parse_mailbox
from posthouse.probe.published import from_dns
from posthouse.probe.visiting import SECONDS

_PASTE_OCTETS_MAX: Final = 256 * 1024
_USUAL_PORTS: Final = {"submissions": 465, "submission": 587}  # RFC 8314 section 3.3, RFC 6409
_CLIENTS: Final = ("outlook", "outlook-express", "apple-mail", "ios-mail", "thunderbird", "k9")


@click.command()
@click.argument("address")
@click.option("--client", type=click.Choice(_CLIENTS), help="Only this mail program.")
@click.option("--host", default="", help="Name of the server; else that of the configuration.")
@click.option("--look-up", is_flag=True, help="Ask DNS what the domain of ADDRESS publishes.")
@click.option("--dns", "servers", multiple=True, help="Name server to ask instead of the system's.")
@click.option("--lang", default="", help="en or zh_Hans.")
@shared_options
def settings(
    address: str,
    *,
    client: str | None,
    host: str,
    look_up: bool,
    servers: tuple[str, ...],
    lang: str,
) -> None:
    """Print the right fields for sending as ADDRESS, for each mail program in its own words.

    Server and ports are those of the configuration; with --host, the usual ports of that server;
    with --look-up, those that the domain publishes (RFC 6186).
    """
    words = Words(wanted_language(lang))
    if look_up:
        note(words("probe-plan-dns", host=address.rpartition("@")[2]))
        right = asyncio.run(_looked_up(_checked(address), name_servers(servers)))
    else:
        right = _right(_checked(address), host)
    programs = [
        it for it in fields_of(right, words.language) if client is None or it.program == client
    ]
    if current_options().json:
        content = {"address": address, "outgoing": right, "programs": programs}
        document("settings", msgspec.to_builtins(content))
        return
    for number, program in enumerate(programs):
        if number:
            say()
        _say_program(program, words)
    note(words("settings-note-password"))


@click.command("settings")
@click.argument("file", default="-")
@click.option("--address", default="", help="Whose settings these are.")
@click.option("--host", default="", help="Name of the server; else that of the configuration.")
@click.option("--lang", default="", help="en or zh_Hans.")
@shared_options
def compare_settings(file: str, *, address: str, host: str, lang: str) -> None:
    """Compare pasted settings of a mail program with the right ones, field by field.

    FILE holds them, one field a line; - is standard input. Nothing is stored.
    """
    words = Words(wanted_language(lang))
    pasted = _pasted(file)
    # Several ports may be right: what was pasted is held against the one it is nearest to.
    compared = [
        (right, compare(pasted, right))
        for right in _every_right(_checked(address) if address else "", host)
    ]
    right, differences = min(compared, key=lambda it: sum(one.right is False for one in it[1]))
    wrong = [it for it in differences if it.right is False]
    if current_options().json:
        content = {"expected": right, "right": not wrong, "fields": differences}
        document("settings-comparison", msgspec.to_builtins(content))
    else:
        any_right = any(it.right for it in differences)
        found = "settings-all-right" if any_right else "settings-none-found"
        say(words("settings-some-wrong" if wrong else found))
        columns = [words(f"settings-column-{it}") for it in ("field", "yours", "should-be")]
        table([*columns, ""], [_row(it, words) for it in differences])
    if wrong or not any(it.right for it in differences):
        raise click.exceptions.Exit(Exit.NO)


def _row(it: Difference, words: Words) -> tuple[str, ...]:
    states = {True: "settings-right", False: "settings-wrong", None: "settings-not-found"}
    key = states[it.right] if it.expected or not it.pasted else ""
    expected = it.expected
    if it.name == "authentication":
        expected = words("authentication-on")
    return (words(f"fields-{it.name}"), it.pasted, expected, words(key) if key else "")


def _say_program(program: ProgramSettings, words: Words) -> None:
    say(PROGRAM_NAMES.get(program.program) or words("any-program"))
    for field in program.fields:
        say(f"  {field.label}: {field.value}")


def _right(address: str, host: str) -> Outgoing:
    """Return the right settings, the best where there are several; failures as `_every_right`."""
    return _every_right(address, host)[0]


def _every_right(address: str, host: str) -> list[Outgoing]:
    """Return all right settings, the best first.

    Raises:
        Failure: If there is neither a configuration nor a host, or nothing takes submissions.
    """
    if host:
        return _for_each_port(address, host, _USUAL_PORTS)
    try:
        configuration = open_installation(current_options()).loaded.configuration
    except Failure as problem:
        if current_options().config:
            raise
        raise Failure(
            f"{problem}; or name the server with --host, or --look-up", Exit.CONFIGURATION
        ) from None
    domain = address.rpartition("@")[2].lower()
    if address and domain not in configuration.domains:
        raise Failure(
            f"{domain} is none of the domains of this server: name its server with --host,"
            " or use --look-up"
        )
    try:
        return _for_each_port(address, configuration.hostname, _ports(configuration))
    except ValueError:
        raise Failure("no listener of this configuration takes submissions") from None


def _for_each_port(address: str, host: str, ports: Mapping[str, int]) -> list[Outgoing]:
    best = outgoing_for(address, host, ports)
    others = (outgoing_for(address, host, {service: port}) for service, port in ports.items())
    return [best, *(other for other in others if other != best)]


async def _looked_up(address: str, servers: tuple[ServerAddress, ...]) -> Outgoing:
    """Return the settings that the domain publishes.

    Raises:
        Failure: If it publishes none, or DNS does not answer.
    """
    domain = address.rpartition("@")[2]
    resolver = Resolver(servers, SECONDS)
    try:
        search = await from_dns(resolver, domain)
    finally:
        await resolver.close()
    for service in _USUAL_PORTS:
        for it in search.found:
            if it.door.service.value == service:
                return outgoing_for(address, it.host, {service: it.door.port})
    if search.troubles:
        raise Failure(f"DNS does not answer: {search.troubles[0]}", Exit.TRY_AGAIN)
    raise Failure(f"{domain} publishes no settings in DNS: name the server with --host")


def _ports(configuration: Configuration) -> Mapping[str, int]:
    """Return the ports of the listeners that take mail from people, by service."""
    ports: dict[str, int] = {}
    for listener in configuration.listen.values():
        if listener.service is ServiceName.SUBMISSION:
            from_start = listener.tls_rule is TlsRule.FROM_START
            ports.setdefault("submissions" if from_start else "submission", listener.on[0].port)
    return ports


def _checked(address: str) -> str:
    try:
        return str(parse_mailbox(address))
    except AddressError:
        raise Failure(f"{address!a} is no mail address", Exit.USAGE) from None


def _pasted(file: str) -> str:
    if file == "-":
        if sys.stdin.isatty():
            note("Paste the settings, one a line, then press Ctrl-D.")
        return sys.stdin.buffer.read(_PASTE_OCTETS_MAX).decode("utf-8", "replace")
    try:
        with Path(file).open("rb") as opened:
            return opened.read(_PASTE_OCTETS_MAX).decode("utf-8", "replace")
    except OSError as problem:
        raise Failure(f"cannot read {file}: {problem.strerror}", Exit.USAGE) from None
