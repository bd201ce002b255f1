"""`posthouse doctor host`: meet a mail host as a mail program does, and say what is wrong."""

import asyncio
import sys
from pathlib import Path
from typing import Final

import click
import msgspec

from posthouse.cli.doctor_host_report import show
from posthouse.cli.doctor_words import Words, wanted_language
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import current_options, now
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note
from posthouse.dns.resolver import Resolver
from posthouse.dns.servers import ServerAddress, parse_server, system_servers
from posthouse.doctor.advice import advise
from posthouse.mail.address import AddressError, parse_mailbox
from posthouse.probe.certificate import Trust
from posthouse.probe.client_settings import HostSeen, Names, SystemNames, probe_host
from posthouse.probe.consent import STRANGER, Consent, announce
from posthouse.probe.doors import USUAL_DOORS, Door, Service
from posthouse.probe.verdict import Severity, Verdict, judge
from posthouse.probe.visiting import SECONDS, Manner

PASSWORD_OCTETS_MAX: Final = 1024


@click.command()
@click.argument("name")
@click.option("--user", default="", help="Sign in with this name; the password is asked for.")
@click.option("--from", "senders", multiple=True, help="May this be the sender? Needs --user.")
@click.option("--relay", is_flag=True, help="Would it take mail for another provider from here?")
@click.option("--to", "recipient", default=STRANGER, show_default=True, help="That recipient.")
@click.option("--autoconfig", is_flag=True, help="Ask the domain's web server for its settings.")
@click.option("--directory", default="", help="Address of a directory of settings to ask too.")
@click.option("--no-dns", is_flag=True, help="Ask DNS for addresses only, not for SRV and MX.")
@click.option("--port", "ports", multiple=True, help="SERVICE:NUMBER instead of the usual ports.")
@click.option("--dns", "servers", multiple=True, help="Name server to ask instead of the system's.")
@click.option("--trust", type=click.Path(exists=True), help="PEM file of an authority to trust.")
@click.option("--unsafe-sign-in", is_flag=True, help="Say the password without encryption too.")
@click.option("--timeout", default=SECONDS, show_default=True, help="Seconds to wait each time.")
@click.option("--transcript", is_flag=True, help="Show what was said while trying; no secrets.")
@click.option("--plan", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask before doing it.")
@click.option("--lang", default="", help="en or zh_Hans.")
@shared_options
def host(  # noqa: PLR0913 - one parameter for each option, called by click only
    *,
    name: str,
    user: str,
    senders: tuple[str, ...],
    relay: bool,
    recipient: str,
    autoconfig: bool,
    directory: str,
    no_dns: bool,
    ports: tuple[str, ...],
    servers: tuple[str, ...],
    trust: str | None,
    unsafe_sign_in: bool,
    timeout: float,
    transcript: bool,
    plan: bool,
    yes: bool,
    lang: str,
) -> None:
    """Look at the mail host NAME (a host, a domain or an address) as a mail program meets it.

    Ports, encryption, certificate and ways to sign in; with --relay, --user and --from also what
    is allowed. What will be done is said first. No mail is sent, nothing is stored.
    """
    consent = Consent(
        host=_host(name), doors=_doors(ports), published=not no_dns, autoconfig=autoconfig,
        directory=directory, relay=relay, recipient=_address(recipient), user=_user(user),
        senders=tuple(map(_address, senders)), untrusted=unsafe_sign_in,
    )  # fmt: skip
    words = Words(wanted_language(lang))
    _tell(consent, words)
    if plan:
        return
    _ask_leave(words, yes=yes)
    if user:
        consent = msgspec.structs.replace(consent, password=ask_password(words))
    manner = Manner(seconds=timeout, trust=Trust(trust or ""))
    seen = asyncio.run(_probe(consent, servers, manner))
    _answer(seen, user, words, transcript=transcript)


async def _probe(consent: Consent, servers: tuple[str, ...], manner: Manner) -> HostSeen:
    resolver = Resolver(name_servers(servers), manner.seconds)
    names: Names = resolver if servers else SystemNames()
    try:
        return await probe_host(consent, names=names, resolver=resolver, manner=manner)
    except OSError as problem:  # the file of --trust
        raise Failure(f"--trust: {problem}", Exit.USAGE) from None
    finally:
        await resolver.close()


def _answer(seen: HostSeen, user: str, words: Words, *, transcript: bool) -> None:
    moment = now()
    verdict = judge(seen, user, moment)
    if current_options().json:
        document("host", _as_document(seen, verdict, words.language))
    else:
        show(seen, verdict, words, moment, transcript=transcript)
    _exit(seen, verdict)


def _exit(seen: HostSeen, verdict: Verdict) -> None:
    if seen.unnamed == "temporary":
        raise click.exceptions.Exit(Exit.TRY_AGAIN)
    if not any(it.is_open for it in seen.visits):
        raise click.exceptions.Exit(Exit.UNREACHABLE)
    if verdict.outgoing is None or verdict.worst is Severity.PROBLEM:
        raise click.exceptions.Exit(Exit.NO)


def _as_document(seen: HostSeen, verdict: Verdict, language: str) -> dict[str, object]:
    answer = advise(verdict.explained, language) if verdict.explained else None
    content: dict[str, object] = msgspec.to_builtins(seen)
    return {
        **content,
        "verdict": msgspec.to_builtins(verdict),
        "answer": msgspec.to_builtins(answer),
    }


def _tell(consent: Consent, words: Words) -> None:
    note(words("probe-plan-title"))
    for number, it in enumerate(announce(consent), 1):
        note(f"  {number}. {words(it.key, **it.fields)}")


def _ask_leave(words: Words, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure("nobody is there to be asked: read the plan, then add --yes", Exit.USAGE)
    click.confirm(words("probe-plan-ask"), abort=True, err=True)


def ask_password(words: Words) -> str:
    """Ask for the password or read it; never from the command line, where others could see it."""
    if sys.stdin.isatty():
        asked: str = click.prompt(words.text("Password"), hide_input=True, err=True)
        return asked
    password = sys.stdin.readline(PASSWORD_OCTETS_MAX).rstrip("\r\n")
    if not password:
        raise Failure("--user: the password is expected on standard input", Exit.USAGE)
    return password


# ------------------------------------------------------------------ arguments


def _host(name: str) -> str:
    """Return the host or domain in what was named.

    Raises:
        Failure: If that is no name.
    """
    host = name.rpartition("@")[2].strip().strip("[]").rstrip(".").lower()
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            host = ""
    good = host and len(host) <= 253 and all(it.isalnum() or it in ".-_:" for it in host)
    if not good:
        raise Failure(f"{name!a} is no name of a host", Exit.USAGE)
    return host


def _address(text: str) -> str:
    try:
        return str(parse_mailbox(text))
    except AddressError:
        raise Failure(f"{text!a} is no mail address", Exit.USAGE) from None


def _user(name: str) -> str:
    if not name.isprintable():
        raise Failure("--user: a name without control characters, please", Exit.USAGE)
    return name


def _doors(texts: tuple[str, ...]) -> tuple[Door, ...]:
    return tuple(map(_door, texts)) or USUAL_DOORS


def _door(text: str) -> Door:
    service, _, port = text.partition(":")
    usual = {door.service.value: door.port for door in USUAL_DOORS}
    if service not in usual or not (port or "1").isdecimal() or int(port or 1) not in range(65536):
        known = ", ".join(usual)
        raise Failure(f"--port {text!a}: SERVICE:NUMBER, SERVICE is one of {known}", Exit.USAGE)
    return Door(Service(service), int(port or usual[service]))


def name_servers(texts: tuple[str, ...]) -> tuple[ServerAddress, ...]:
    """Return the name servers that were named, or the system's.

    Raises:
        Failure: If one is no address.
    """
    try:
        return tuple(map(parse_server, texts)) or system_servers(Path("/etc/resolv.conf"))
    except ValueError as problem:
        raise Failure(f"--dns: {problem}", Exit.USAGE) from None
